/* Shared secrets that are computed ahead for several handshakes, and what the handshakes make of
 * them. */
#include "run.h"
#include "tls/agreement.h"
#include "tls_pair.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <vector/kernels.h>

static struct pki ecdsa, ca, device;
static struct site site;

/* --- which results the library took --- */

static int taken;

bool __real_postern_x25519_take_secret(unsigned char out[32], const unsigned char private_key[32],
                                       const unsigned char peer[32]);
bool __wrap_postern_x25519_take_secret(unsigned char out[32], const unsigned char private_key[32],
                                       const unsigned char peer[32]);
bool __wrap_postern_x25519_take_secret(unsigned char out[32], const unsigned char private_key[32],
                                       const unsigned char peer[32]) {
    bool found = __real_postern_x25519_take_secret(out, private_key, peer);
    taken += found;
    return found;
}

/* --- randomness --- */

static bool random_fails;

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags) {
    if (random_fails) {
        errno = EIO;
        return -1;
    }
    return __real_getrandom(out, len, flags);
}

static void once(void) {
    struct error err;
    ck_assert_msg(tls_library_start(&err) == 0, "%s", err.text);
    ecdsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    ca = pki_make((struct pki_spec){.cn = "CA", .ca = 1}, NULL);
    device = pki_make((struct pki_spec){.cn = "device"}, &ca);
}

static void finally(void) {
    pki_free(&ecdsa);
    pki_free(&ca);
    pki_free(&device);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    site_init(&site, pki_certs("ecdsa.pem", &ecdsa, NULL), pki_key("ecdsa.key", &ecdsa));
    taken = 0;
    random_fails = false;
}

/* --- handshakes, step by step --- */

static void client_sends(struct pair *p) {
    SSL_do_handshake(p->client);
    pair_collect(p);
}

/* The client's hello has come. */
static void begin(struct pair *p, SSL_CTX *client) {
    pair_init(p, client, "localhost", NULL);
    client_sends(p);
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
}

/* `version` 0: both. */
static void begin_version(struct pair *p, int version, const char *groups) {
    SSL_CTX *client = client_new(version);
    ck_assert_int_eq(SSL_CTX_set1_groups_list(client, groups), 1);
    begin(p, client);
    SSL_CTX_free(client);
}

/* Our answer has gone, and the client's next flight has come. */
static void answer(struct pair *p, struct tls_context *ctx) {
    p->engine = engine_open(ctx, &p->hello);
    ck_assert_ptr_nonnull(p->engine);
    p->in = (struct engine_input){p->up.data, p->up.len};
    ck_assert_int_eq(engine_handshake(p->engine, &p->in, &p->out, NULL), ENGINE_MORE);
    buf_consume(&p->up, p->up.len);
    pair_deliver(p);
    client_sends(p);
}

static struct agreement_step next_step(const struct pair *p, struct tls_context *ctx) {
    return (struct agreement_step){p->engine, ctx, &p->hello, p->up.data, p->up.len};
}

static bool is_due(const struct pair *p, struct tls_context *ctx) {
    struct agreement_step step = next_step(p, ctx);
    return agreement_is_due(&step);
}

static void complete(struct pair *p, struct tls_context *ctx) {
    ck_assert_int_eq(pair_handshake(p, ctx), ENGINE_OK);
    pair_send_up(p, "up", 2);
    pair_send_down(p, "down", 4);
    pair_free(p);
}

/* --- when one is due --- */

START_TEST(a_first_step_of_tls13_needs_one_with_the_group_that_will_be_used) {
    static const struct {
        const char *client, *server;
        int version;
        bool due;
    } cases[] = {
        {"X25519:P-256", NULL, TLS1_3_VERSION, true},
        {"X25519:P-256", NULL, 0, true},
        {"X25519:P-256", "P-256, X25519", TLS1_3_VERSION, true}, /* no share for P-256 */
        {"X25519:P-256", "P-256", TLS1_3_VERSION, false},
        {"P-256:X25519", NULL, TLS1_3_VERSION, false}, /* its only share is for P-256 */
        {"P-256", NULL, TLS1_3_VERSION, false},
        {"X25519:P-256", NULL, TLS1_2_VERSION, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair p;
        site.listener.groups = (char *)cases[i].server;
        struct tls_context *ctx = site_load(&site, NULL);
        begin_version(&p, cases[i].version, cases[i].client);
        ck_assert_msg(is_due(&p, ctx) == cases[i].due, "case %zu", i);
        complete(&p, ctx);
        tls_context_unref(ctx);
    }
}
END_TEST

START_TEST(a_listener_without_tls13_needs_none_at_first) {
    struct pair p;
    site.listener.tls_max = CONFIG_TLS_1_2;
    struct tls_context *ctx = site_load(&site, NULL);
    begin_version(&p, 0, "X25519:P-256");
    ck_assert(!is_due(&p, ctx));
    answer(&p, ctx);
    ck_assert(is_due(&p, ctx));
    complete(&p, ctx);
    tls_context_unref(ctx);
}
END_TEST

START_TEST(a_second_step_of_tls12_needs_one_when_the_clients_key_has_come) {
    struct pair x25519, p256;
    struct tls_context *ctx = site_load(&site, NULL);
    begin_version(&x25519, TLS1_2_VERSION, "X25519:P-256");
    begin_version(&p256, TLS1_2_VERSION, "P-256");
    answer(&x25519, ctx);
    answer(&p256, ctx);
    ck_assert(!is_due(&p256, ctx));
    size_t whole = x25519.up.len, due = 0;
    for (x25519.up.len = 0; x25519.up.len < whole; x25519.up.len++) {
        due += is_due(&x25519, ctx);
    }
    ck_assert(is_due(&x25519, ctx));
    ck_assert_uint_eq(due, whole - 42); /* the first record: its header and 37 bytes */
    complete(&x25519, ctx);
    complete(&p256, ctx);
    tls_context_unref(ctx);
}
END_TEST

/* A client could make us look through thousands. */
START_TEST(a_key_behind_many_records_is_not_looked_for) {
    static const uint8_t empty[] = {22, 3, 3, 0, 0};
    struct pair p;
    struct buf input = {0};
    struct tls_context *ctx = site_load(&site, NULL);
    begin_version(&p, TLS1_2_VERSION, "X25519:P-256");
    answer(&p, ctx);
    struct agreement_step step = next_step(&p, ctx);
    unsigned before = 0;
    for (bool due = true; due; before++) {
        input.len = 0;
        for (unsigned i = 0; i <= before; i++) {
            ck_assert(buf_append(&input, empty, sizeof empty, SIZE_MAX));
        }
        ck_assert(buf_append(&input, p.up.data, p.up.len, SIZE_MAX));
        step.in = input.data;
        step.len = input.len;
        due = agreement_is_due(&step);
        ck_assert_uint_lt(before, 100);
    }
    ck_assert_uint_gt(before, 4);
    buf_free(&input);
    complete(&p, ctx);
    tls_context_unref(ctx);
}
END_TEST

/* --- results --- */

static SSL_CTX *client_with_certificate(void) {
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    ck_assert_int_eq(SSL_CTX_use_certificate(client, device.cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, device.key), 1);
    SSL_CTX_set1_groups_list(client, "X25519:P-256");
    return client;
}

/* Both versions, and before the key a client certificate. */
static void begin_some(struct pair pairs[AGREEMENTS_MAX], struct tls_context *ctx) {
    for (int i = 0; i < AGREEMENTS_MAX; i++) {
        if (i % 3 == 0) {
            begin_version(&pairs[i], TLS1_3_VERSION, "X25519:P-256");
        } else if (i % 3 == 1) {
            begin_version(&pairs[i], TLS1_2_VERSION, "X25519:P-256");
            answer(&pairs[i], ctx);
        } else {
            SSL_CTX *client = client_with_certificate();
            begin(&pairs[i], client);
            SSL_CTX_free(client);
            answer(&pairs[i], ctx);
        }
    }
}

static struct tls_context *load_with_clients(void) {
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    site.listener.client_ca = (char *)pki_certs("ca.pem", &ca, NULL);
    return site_load(&site, NULL);
}

START_TEST(handshakes_use_what_was_computed_for_them_in_any_order) {
    struct pair pairs[AGREEMENTS_MAX];
    struct agreement_step steps[AGREEMENTS_MAX];
    struct tls_context *ctx = load_with_clients();
    begin_some(pairs, ctx);
    for (int i = 0; i < AGREEMENTS_MAX; i++) {
        ck_assert_msg(is_due(&pairs[i], ctx), "pair %d", i);
        steps[i] = next_step(&pairs[i], ctx);
    }
    agreements_compute(steps, AGREEMENTS_MAX);
    for (int i = 0; i < AGREEMENTS_MAX; i++) {
        complete(&pairs[i * 3 % AGREEMENTS_MAX], ctx);
        ck_assert_int_eq(taken, i + 1);
    }
    tls_context_unref(ctx);
}
END_TEST

/* Others go on as if nothing had been computed; results that are not taken do no harm. */
START_TEST(handshakes_without_a_result_compute_it_themselves) {
    struct pair pairs[AGREEMENTS_MAX];
    struct agreement_step steps[AGREEMENTS_MAX];
    struct tls_context *ctx = load_with_clients();
    begin_some(pairs, ctx);
    for (int i = 0; i < AGREEMENTS_MAX / 2; i++) {
        steps[i] = next_step(&pairs[i], ctx);
    }
    agreements_compute(steps, AGREEMENTS_MAX / 2);
    pair_free(&pairs[0]); /* the client has gone */
    for (int i = AGREEMENTS_MAX - 1; i > 0; i--) {
        complete(&pairs[i], ctx);
    }
    ck_assert_int_eq(taken, AGREEMENTS_MAX / 2 - 1);
    tls_context_unref(ctx);
}
END_TEST

/* What is in stock lasts for a few computations, whose results the others overwrite. */
START_TEST(without_randomness_nothing_is_computed_ahead) {
    struct pair pairs[AGREEMENTS_MAX];
    struct agreement_step steps[AGREEMENTS_MAX];
    struct tls_context *ctx = site_load(&site, NULL);
    for (int i = 0; i < AGREEMENTS_MAX; i++) {
        begin_version(&pairs[i], TLS1_3_VERSION, "X25519:P-256");
        ck_assert_msg(is_due(&pairs[i], ctx), "pair %d", i);
        steps[i] = next_step(&pairs[i], ctx);
    }
    random_fails = true;
    for (int i = 0; i < 16; i++) {
        agreements_compute(steps, AGREEMENTS_MAX);
    }
    random_fails = false;
    for (int i = 0; i < AGREEMENTS_MAX; i++) {
        complete(&pairs[i], ctx);
    }
    ck_assert_int_eq(taken, 0);
    tls_context_unref(ctx);
}
END_TEST

int main(void) {
    if ((postern_kernels_offered() & POSTERN_KERNEL_X25519) == 0) {
        puts("skipped: this processor has no AVX-512 IFMA");
        return RUN_SKIPPED;
    }
    Suite *suite = suite_create("agreement");
    TCase *test = tcase_create("agreement");
    tcase_add_unchecked_fixture(test, once, finally);
    tcase_add_checked_fixture(test, setup, NULL);
    tcase_add_test(test, a_first_step_of_tls13_needs_one_with_the_group_that_will_be_used);
    tcase_add_test(test, a_listener_without_tls13_needs_none_at_first);
    tcase_add_test(test, a_second_step_of_tls12_needs_one_when_the_clients_key_has_come);
    tcase_add_test(test, a_key_behind_many_records_is_not_looked_for);
    tcase_add_test(test, handshakes_use_what_was_computed_for_them_in_any_order);
    tcase_add_test(test, handshakes_without_a_result_compute_it_themselves);
    tcase_add_test(test, without_randomness_nothing_is_computed_ahead);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
