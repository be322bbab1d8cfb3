#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct pki server;
static const char *server_cert, *server_key;
static struct site site;
static struct tls_shared shared;
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost,DNS:other"}, NULL);
    server_cert = pki_certs("server.pem", &server, NULL);
    server_key = pki_key("server.key", &server);
}

static void finally(void) {
    pki_free(&server);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct error err;
    site_init(&site, server_cert, server_key);
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(2, &err);
    ck_assert_ptr_nonnull(shared.tickets);
    ck_assert_ptr_nonnull(shared.sessions);
}

static void teardown(void) {
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
}

/* The clock of the tickets, which the tests can set forward. */
static long clock_offset;

int clock_gettime(clockid_t id, struct timespec *at) {
#ifdef SYS_clock_gettime64 /* a 32-bit machine, where time_t has 64 bits nevertheless */
    long result = syscall(SYS_clock_gettime64, id, at);
#else
    long result = syscall(SYS_clock_gettime, id, at);
#endif
    if (result == 0 && id == CLOCK_MONOTONIC) {
        at->tv_sec += clock_offset;
    }
    return (int)result;
}

/* One connection with the listener as it is now. Returns the client's session, for the next one,
 * and whether this one was resumed (both ends must agree). */
static SSL_SESSION *visit(SSL_CTX *client, const char *name, SSL_SESSION *session, bool *resumed,
                          size_t step) {
    struct tls_context *ctx = site_load(&site, &shared);
    struct pair p;
    pair_init(&p, client, name, session);
    p.step = step;
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    pair_send_up(&p, "up", 2);
    pair_send_down(&p, "down", 4);
    ck_assert_int_eq(SSL_session_reused(p.client), engine_is_resumed(p.engine));
    *resumed = engine_is_resumed(p.engine);
    /* OpenSSL forgets the session of a connection that was not closed in order. */
    engine_close(p.engine, &p.out);
    pair_deliver(&p);
    SSL_shutdown(p.client);
    SSL_SESSION *got = SSL_get1_session(p.client);
    pair_free(&p);
    tls_context_unref(ctx);
    return got;
}

/* Two visits; between them the listener may be changed by `change`. */
static bool resumes(int version, bool tickets, const char *second_name, void (*change)(void)) {
    SSL_CTX *client = client_new(version);
    bool first, second;
    if (!tickets) {
        SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    }
    SSL_SESSION *session = visit(client, "localhost", NULL, &first, 0);
    ck_assert(!first);
    if (change != NULL) {
        change();
    }
    SSL_SESSION *again = visit(client, second_name, session, &second, 0);
    SSL_SESSION_free(session);
    SSL_SESSION_free(again);
    SSL_CTX_free(client);
    return second;
}

START_TEST(a_ticket_resumes_after_a_reload) {
    ck_assert(resumes(versions[_i], true, "localhost", NULL));
}
END_TEST

START_TEST(a_ticket_resumes_byte_by_byte) {
    SSL_CTX *client = client_new(versions[_i]);
    bool resumed;
    SSL_SESSION *a = visit(client, "localhost", NULL, &resumed, 1);
    SSL_SESSION *b = visit(client, "localhost", a, &resumed, 1);
    ck_assert(resumed);
    SSL_SESSION_free(a);
    SSL_SESSION_free(b);
    SSL_CTX_free(client);
}
END_TEST

START_TEST(tls13_sessions_are_resumed_one_after_another) {
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    bool resumed;
    SSL_SESSION *session = visit(client, "localhost", NULL, &resumed, 0);
    for (int i = 0; i < 5; i++) {
        SSL_SESSION *next = visit(client, "localhost", session, &resumed, 0);
        ck_assert(resumed);
        SSL_SESSION_free(session);
        session = next;
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}
END_TEST

START_TEST(a_session_id_resumes_after_a_reload) {
    ck_assert(resumes(TLS1_2_VERSION, false, "localhost", NULL));
}
END_TEST

static void other_listener(void) {
    site.listener.name = (char *)"other";
}

static void other_ciphers(void) {
    site.listener.ciphers = (char *)"ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384";
}

static void new_keys(void) {
    struct error err;
    tls_tickets_free(shared.tickets);
    shared.tickets = tls_tickets_new(&err);
}

static const struct {
    const char *name;
    void (*change)(void);
} mismatches[] = {{"other", NULL}, {"localhost", other_listener}, {"localhost", other_ciphers}};

START_TEST(another_name_or_listener_or_policy_means_a_full_handshake) {
    for (int version = 0; version < 2; version++) {
        for (int tickets = version; tickets < 2; tickets++) {
            teardown();
            setup();
            ck_assert_msg(
                !resumes(versions[version], tickets, mismatches[_i].name, mismatches[_i].change),
                "version %d tickets %d", version, tickets);
        }
    }
}
END_TEST

START_TEST(a_ticket_under_a_lost_key_means_a_full_handshake) {
    ck_assert(!resumes(versions[_i], true, "localhost", new_keys));
}
END_TEST

/* Tickets of other servers are up to two kilobytes long. */
START_TEST(a_foreign_ticket_means_a_full_handshake) {
    SSL_CTX *client = client_new(versions[_i]);
    SSL_CTX *foreign = SSL_CTX_new(TLS_server_method());
    FILE *f = fopen(server_cert, "r");
    fclose(f);
    ck_assert_int_eq(SSL_CTX_use_certificate(foreign, server.cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(foreign, server.key), 1);
    /* A large client certificate in the session makes a large ticket. */
    SSL *s = SSL_new(foreign), *c = SSL_new(client);
    BIO *a, *b;
    BIO_new_bio_pair(&a, 65536, &b, 65536);
    SSL_set_bio(s, a, a);
    SSL_set_bio(c, b, b);
    SSL_set_verify(s, SSL_VERIFY_PEER, NULL);
    SSL_set_session_id_context(s, (const unsigned char *)"x", 1);
    SSL_set_accept_state(s);
    SSL_set_connect_state(c);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(c);
        SSL_do_handshake(s);
    }
    char byte;
    SSL_write(s, "x", 1);
    ck_assert_int_eq(SSL_read(c, &byte, 1), 1);
    SSL_SESSION *session = SSL_get1_session(c);
    bool resumed;
    SSL_SESSION *got = visit(client, "localhost", session, &resumed, 0);
    ck_assert(!resumed);
    SSL_SESSION_free(got);
    SSL_SESSION_free(session);
    SSL_free(s);
    SSL_free(c);
    SSL_CTX_free(foreign);
    SSL_CTX_free(client);
}
END_TEST

static void one_lifetime_later(void) {
    clock_offset += TLS_RESUME_SECONDS + 1;
}

static void two_lifetimes_later(void) {
    one_lifetime_later();
    /* A connection causes the key to be replaced; then the second lifetime of the old one is
     * over. */
    SSL_CTX *client = client_new(0);
    bool resumed;
    SSL_SESSION_free(visit(client, "localhost", NULL, &resumed, 0));
    SSL_CTX_free(client);
    one_lifetime_later();
}

START_TEST(an_own_key_decrypts_for_one_lifetime_after_it_was_replaced) {
    ck_assert(resumes(versions[_i], true, "localhost", one_lifetime_later));
    ck_assert(!resumes(versions[_i], true, "localhost", two_lifetimes_later));
}
END_TEST

/* Another process takes the service over. */
static void hand_over(void) {
    uint8_t keys[TLS_TICKETS_EXPORT_MAX];
    size_t len = tls_tickets_export(shared.tickets, keys);
    ck_assert_uint_gt(len, 0);
    new_keys();
    ck_assert(tls_tickets_import(shared.tickets, keys, len));
}

static void hand_over_late(void) {
    one_lifetime_later();
    hand_over();
}

static void hand_over_and_wait(void) {
    hand_over();
    two_lifetimes_later();
}

START_TEST(a_process_that_takes_over_resumes_the_sessions_of_the_other) {
    ck_assert(resumes(versions[_i], true, "localhost", hand_over));
    ck_assert(resumes(versions[_i], true, "localhost", hand_over_late));
    clock_offset = 0; /* Check has a bound for the duration of a test */
}
END_TEST

START_TEST(keys_that_are_taken_over_keep_their_age) {
    ck_assert(!resumes(versions[_i], true, "localhost", hand_over_and_wait));
    clock_offset = 0;
}
END_TEST

START_TEST(what_is_not_an_export_changes_nothing) {
    uint8_t keys[TLS_TICKETS_EXPORT_MAX + 40] = {0}, before[TLS_TICKETS_EXPORT_MAX],
                                          after[TLS_TICKETS_EXPORT_MAX];
    static const size_t lengths[] = {0, 1, 39, 41, TLS_TICKETS_EXPORT_MAX + 40};
    size_t len = tls_tickets_export(shared.tickets, before);
    ck_assert_uint_eq(len, 40);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        ck_assert(!tls_tickets_import(shared.tickets, keys, lengths[i]));
    }
    keys[32] = 0xff; /* an age of more than all time */
    ck_assert(!tls_tickets_import(shared.tickets, keys, 40));
    keys[32] = 0;
    keys[39] = 9; /* the second key is younger than the first */
    ck_assert(!tls_tickets_import(shared.tickets, keys, 80));
    ck_assert_uint_eq(tls_tickets_export(shared.tickets, after), len);
    ck_assert_mem_eq(after, before, 32);
}
END_TEST

static const char line_a[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n";
static const char line_b[] = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

static void use_keys(const char *first, const char *second) {
    char text[200];
    struct error err = {""};
    snprintf(text, sizeof text, "%s%s", first, second);
    struct tls_ticket_keys *keys = tls_ticket_keys_read(pki_text("keys", text), &err);
    ck_assert_msg(keys != NULL, "%s", err.text);
    tls_tickets_use(shared.tickets, keys);
}

/* Another instance: same file, nothing else in common. */
static void other_instance(void) {
    new_keys();
    use_keys(line_a, "");
}

static void rotated(void) {
    use_keys(line_b, line_a);
}

static void rotated_out(void) {
    use_keys(line_b, "");
}

START_TEST(instances_that_share_a_key_file_resume_each_others_tickets) {
    use_keys(line_a, "");
    ck_assert(resumes(versions[_i], true, "localhost", other_instance));
    ck_assert(resumes(versions[_i], true, "localhost", rotated));
}
END_TEST

START_TEST(a_key_removed_from_the_file_no_longer_decrypts) {
    use_keys(line_a, "");
    ck_assert(!resumes(versions[_i], true, "localhost", rotated_out));
}
END_TEST

START_TEST(without_the_file_the_shared_keys_are_dropped) {
    use_keys(line_a, "");
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    bool resumed;
    SSL_SESSION *session = visit(client, "localhost", NULL, &resumed, 0);
    tls_tickets_use(shared.tickets, NULL);
    SSL_SESSION *next = visit(client, "localhost", session, &resumed, 0);
    ck_assert(!resumed);
    SSL_SESSION_free(session);
    session = visit(client, "localhost", next, &resumed, 0);
    ck_assert(resumed);
    SSL_SESSION_free(session);
    SSL_SESSION_free(next);
    SSL_CTX_free(client);
}
END_TEST

/* Both processes read the file. */
START_TEST(keys_of_a_file_are_neither_given_nor_replaced) {
    uint8_t keys[TLS_TICKETS_EXPORT_MAX];
    use_keys(line_a, "");
    ck_assert_uint_eq(tls_tickets_export(shared.tickets, keys), 0);
    memset(keys, 0, sizeof keys);
    ck_assert(tls_tickets_import(shared.tickets, keys, 40));
    ck_assert(resumes(versions[_i], true, "localhost", other_instance));
}
END_TEST

START_TEST(a_bad_key_file_is_refused_with_its_line) {
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"", "holds no key"},
        {"0011\n", ":1: not a key"},
        {"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\nzz\n", ":2: not"},
        {"g0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n", ":1: not"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {""};
        ck_assert_ptr_null(tls_ticket_keys_read(pki_text("bad", bad[i].text), &err));
        ck_assert_msg(strstr(err.text, bad[i].word) != NULL, "%s", err.text);
    }
    struct error err = {""};
    ck_assert_ptr_null(tls_ticket_keys_read("/nonexistent/keys", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
}
END_TEST

START_TEST(the_session_cache_drops_the_oldest_at_its_bound) {
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    SSL_SESSION *sessions[3], *again;
    bool resumed;
    SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    for (int i = 0; i < 3; i++) {
        sessions[i] = visit(client, "localhost", NULL, &resumed, 0);
    }
    for (int i = 2; i >= 0; i--) {
        again = visit(client, "localhost", sessions[i], &resumed, 0);
        ck_assert_int_eq(resumed, i > 0);
        SSL_SESSION_free(again);
        SSL_SESSION_free(sessions[i]);
    }
    SSL_CTX_free(client);
}
END_TEST

START_TEST(a_client_with_tickets_takes_no_room_in_the_session_cache) {
    SSL_CTX *client = client_new(TLS1_2_VERSION), *plain = client_new(TLS1_2_VERSION);
    bool resumed;
    SSL_CTX_set_options(plain, SSL_OP_NO_TICKET);
    SSL_SESSION *kept = visit(plain, "localhost", NULL, &resumed, 0);
    for (int i = 0; i < 5; i++) {
        SSL_SESSION_free(visit(client, "localhost", NULL, &resumed, 0));
    }
    SSL_SESSION *again = visit(plain, "localhost", kept, &resumed, 0);
    ck_assert(resumed);
    SSL_SESSION_free(again);
    SSL_SESSION_free(kept);
    SSL_CTX_free(client);
    SSL_CTX_free(plain);
}
END_TEST

START_TEST(a_damaged_ticket_means_a_full_handshake) {
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    bool resumed;
    SSL_SESSION *session = visit(client, "localhost", NULL, &resumed, 0);
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    ck_assert_uint_gt(len, 64);
    for (size_t at = 0; at < len; at += 7) {
        ((unsigned char *)(uintptr_t)ticket)[at] ^= 1;
        SSL_SESSION *next = visit(client, "localhost", session, &resumed, 0);
        ck_assert_msg(!resumed, "byte %zu", at);
        SSL_SESSION_free(next);
        ((unsigned char *)(uintptr_t)ticket)[at] ^= 1;
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("tickets");
    TCase *tc = tcase_create("tickets");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_ticket_resumes_after_a_reload, 0, 2);
    tcase_add_loop_test(tc, a_ticket_resumes_byte_by_byte, 0, 2);
    tcase_add_test(tc, tls13_sessions_are_resumed_one_after_another);
    tcase_add_test(tc, a_session_id_resumes_after_a_reload);
    tcase_add_loop_test(tc, another_name_or_listener_or_policy_means_a_full_handshake, 0, 3);
    tcase_add_loop_test(tc, a_ticket_under_a_lost_key_means_a_full_handshake, 0, 2);
    tcase_add_loop_test(tc, an_own_key_decrypts_for_one_lifetime_after_it_was_replaced, 0, 2);
    tcase_add_loop_test(tc, a_foreign_ticket_means_a_full_handshake, 0, 2);
    tcase_add_loop_test(tc, instances_that_share_a_key_file_resume_each_others_tickets, 0, 2);
    tcase_add_loop_test(tc, a_key_removed_from_the_file_no_longer_decrypts, 0, 2);
    tcase_add_test(tc, without_the_file_the_shared_keys_are_dropped);
    tcase_add_loop_test(tc, a_process_that_takes_over_resumes_the_sessions_of_the_other, 0, 2);
    tcase_add_loop_test(tc, keys_that_are_taken_over_keep_their_age, 0, 2);
    tcase_add_test(tc, what_is_not_an_export_changes_nothing);
    tcase_add_loop_test(tc, keys_of_a_file_are_neither_given_nor_replaced, 0, 2);
    tcase_add_test(tc, a_bad_key_file_is_refused_with_its_line);
    tcase_add_test(tc, the_session_cache_drops_the_oldest_at_its_bound);
    tcase_add_test(tc, a_client_with_tickets_takes_no_room_in_the_session_cache);
    tcase_add_test(tc, a_damaged_ticket_means_a_full_handshake);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
