/* What a handshake with a pre-shared key costs beside one with a certificate, and whether one that
 * fails takes as long for an unknown identity as for a wrong key. psk.py runs both.
 *
 *     bench-psk cost HANDSHAKES
 *     bench-psk tries PORT 1.2|1.3 TRIES
 *
 * The first has both ends in one process, and counts the server's processor time and all bytes. The
 * second tries a Postern on this machine that has the identities device-000 to device-999, with a
 * key that none of them has: in random order those and as many that it does not have. What it
 * prints is the time from the client's last byte to the alert, in nanoseconds. */
#include "../unit/tls_pair.h"

#include <arpa/inet.h>
#include <check.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char *identity = "device-000";

static unsigned int on_psk(SSL *ssl, const char *hint, char *name, unsigned int max_name,
                           unsigned char *key, unsigned int max_key) {
    size_t len;
    snprintf(name, max_name, "%s", identity);
    ck_assert(OPENSSL_hexstr2buf_ex(key, max_key, &len, KEY, '\0'));
    return (unsigned int)len;
}

static SSL_CTX *psk_client(int version) {
    SSL_CTX *client = client_new(version);
    SSL_CTX_set_psk_client_callback(client, on_psk);
    ck_assert(SSL_CTX_set_cipher_list(client, "PSK"));
    return client;
}

static uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- what it costs --- */

static struct {
    uint64_t ns;
    size_t up, down; /* bytes of the handshake by the client, and by the server */
} spent;

/* pair_handshake, with a clock around the engine. */
static void handshake(struct tls_context *ctx, SSL_CTX *client) {
    struct pair p;
    pair_init(&p, client, "localhost", NULL);
    while (p.status == ENGINE_MORE) {
        SSL_do_handshake(p.client);
        ERR_clear_error();
        pair_collect(&p);
        if (p.engine == NULL) {
            ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
        }
        spent.up += p.up.len;
        uint64_t begun = now_ns(CLOCK_THREAD_CPUTIME_ID);
        if (p.engine == NULL) {
            p.engine = engine_open(ctx, &p.hello);
        }
        p.in = (struct engine_input){p.up.data, p.up.len};
        p.status = engine_handshake(p.engine, &p.in, &p.out, NULL);
        spent.ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
        spent.down += p.out.len;
        buf_consume(&p.up, p.up.len - p.in.len);
        pair_deliver(&p);
    }
    ck_assert_int_eq(p.status, ENGINE_OK);
    pair_free(&p);
}

static int compare_u64(const void *a, const void *b) {
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* The median of nine rounds. */
static void measure(const char *version, const char *what, struct tls_context *ctx, SSL_CTX *client,
                    unsigned count) {
    enum { ROUNDS = 9 };
    const size_t middle = ROUNDS / 2;
    uint64_t rounds[ROUNDS];
    for (unsigned i = 0; i < count / 4; i++) {
        handshake(ctx, client);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        memset(&spent, 0, sizeof spent);
        for (unsigned i = 0; i < count; i++) {
            handshake(ctx, client);
        }
        rounds[round] = spent.ns / count;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, compare_u64);
    printf("TLS %s, %-34s %6.1f us (%.1f to %.1f), %4zu bytes up, %4zu down\n", version, what,
           (double)rounds[middle] / 1000, (double)rounds[0] / 1000,
           (double)rounds[ROUNDS - 1] / 1000, spent.up / count, spent.down / count);
}

static void use_certificate(SSL_CTX *client, const struct pki *cert) {
    ck_assert_int_eq(SSL_CTX_use_certificate(client, cert->cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, cert->key), 1);
}

static void cost(unsigned count) {
    struct pki ca = pki_make((struct pki_spec){.cn = "CA", .ca = 1}, NULL);
    struct pki server = pki_make((struct pki_spec){.cn = "localhost"}, &ca);
    struct pki device = pki_make((struct pki_spec){.cn = "device"}, &ca);
    const char *cert = pki_certs("server.pem", &server, NULL),
               *key = pki_key("server.key", &server);
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const char *const names[] = {"1.2", "1.3"};
    struct site with_certificate, with_both, with_key;
    site_init(&with_certificate, cert, key);
    site_init(&with_both, cert, key);
    with_both.listener.client_auth = CLIENT_AUTH_REQUIRED;
    with_both.listener.client_ca = (char *)pki_certs("ca.pem", &ca, NULL);
    site_init(&with_key, NULL, NULL);
    with_key.listener.psk_file = (char *)pki_text("keys", "device-000:" KEY "\n");
    for (size_t i = 0; i < 2; i++) {
        struct site *sites[] = {&with_certificate, &with_both, &with_key};
        SSL_CTX *clients[] = {client_new(versions[i]), client_new(versions[i]),
                              psk_client(versions[i])};
        static const char *const what[] = {"ECDSA", "ECDSA, client's certificate too",
                                           "pre-shared key"};
        use_certificate(clients[1], &device);
        for (size_t j = 0; j < 3; j++) {
            struct tls_context *ctx = site_load(sites[j], NULL);
            measure(names[i], what[j], ctx, clients[j], count);
            tls_context_unref(ctx);
            SSL_CTX_free(clients[j]);
        }
    }
    pki_free(&ca);
    pki_free(&server);
    pki_free(&device);
    pki_clean();
}

/* --- whether unknown and wrong take as long --- */

static int connect_to(uint16_t port) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* One connection until the server ends it; the time of its last answer. */
static uint64_t try_once(SSL_CTX *client, uint16_t port) {
    struct pair p;
    char data[8192];
    uint64_t taken = 0, sent = 0;
    int fd = connect_to(port);
    pair_init(&p, client, "localhost", NULL);
    for (;;) {
        SSL_do_handshake(p.client);
        ERR_clear_error();
        pair_collect(&p);
        if (p.up.len > 0) {
            sent = now_ns(CLOCK_MONOTONIC); /* before: the answer may come within the call */
            ck_assert_int_eq(send(fd, p.up.data, p.up.len, MSG_NOSIGNAL), (ssize_t)p.up.len);
            buf_consume(&p.up, p.up.len);
        }
        ssize_t got = recv(fd, data, sizeof data, 0);
        if (got <= 0) {
            break;
        }
        taken = now_ns(CLOCK_MONOTONIC) - sent;
        ck_assert_int_eq(BIO_write(p.to_client, data, (int)got), (int)got);
    }
    ck_assert(!SSL_is_init_finished(p.client));
    close(fd);
    pair_free(&p);
    return taken;
}

static void tries(uint16_t port, const char *version, unsigned count) {
    SSL_CTX *client = psk_client(strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    unsigned left[2] = {count, count};
    for (unsigned i = 0; i < 200; i++) {
        (void)try_once(client, port);
    }
    while (left[0] + left[1] > 0) {
        char name[16];
        unsigned random;
        ck_assert_int_eq(RAND_bytes((unsigned char *)&random, sizeof random), 1);
        bool known = random % (left[0] + left[1]) < left[1];
        snprintf(name, sizeof name, "%s-%03u", known ? "device" : "nobody", (random >> 16) % 1000);
        identity = name;
        printf("%s %llu\n", known ? "wrong" : "unknown",
               (unsigned long long)try_once(client, port));
        left[known]--;
    }
    SSL_CTX_free(client);
}

static int arg_count;
static char **args;

/* A test, as the functions of tests/unit need one around them. */
START_TEST(run) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    if (arg_count == 3) {
        cost((unsigned)atoi(args[2]));
    } else {
        tries((uint16_t)atoi(args[2]), args[3], (unsigned)atoi(args[4]));
    }
    tls_library_stop();
}
END_TEST

int main(int argc, char **argv) {
    bool asks_cost = argc == 3 && strcmp(argv[1], "cost") == 0;
    bool asks_tries = argc == 5 && strcmp(argv[1], "tries") == 0;
    if (!asks_cost && !asks_tries) {
        fprintf(stderr, "usage: bench-psk cost HANDSHAKES | tries PORT 1.2|1.3 TRIES\n");
        return EXIT_FAILURE;
    }
    arg_count = argc;
    args = argv;
    Suite *suite = suite_create("psk");
    TCase *all = tcase_create("all");
    tcase_add_test(all, run);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_print(runner, failed > 0 ? CK_NORMAL : CK_SILENT);
    srunner_free(runner);
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
