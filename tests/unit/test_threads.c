/* A shared context, ticket keys and session cache used by several threads at once, while contexts
 * are replaced and retired under them. Most useful under ThreadSanitizer. */
#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, VISITS = 60, RELOADS = 30 };

static struct pki server, ca, device, inter, chained;
static struct site site;
static struct tls_shared shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tls_context *current;
static atomic_int failures;

static struct tls_context *take(void) {
    pthread_mutex_lock(&lock);
    struct tls_context *ctx = tls_context_ref(current);
    pthread_mutex_unlock(&lock);
    return ctx;
}

static void replace(struct tls_context *fresh) {
    pthread_mutex_lock(&lock);
    struct tls_context *old = current;
    current = fresh;
    pthread_mutex_unlock(&lock);
    tls_context_retire(old);
    tls_context_unref(old);
}

/* Moves bytes by hand: Check's assertions are not for threads. */
static bool handshake(struct pair *p, struct tls_context *ctx) {
    for (int turn = 0; turn < 20 && p->status == ENGINE_MORE; turn++) {
        uint8_t bytes[8192];
        SSL_do_handshake(p->client);
        int n = BIO_read(p->from_client, bytes, sizeof bytes);
        if (n <= 0) {
            return false;
        }
        if (p->engine == NULL) {
            if (client_hello_parse(bytes, (size_t)n, &p->hello) == CLIENT_HELLO_OK) {
                p->engine = engine_open(ctx, &p->hello);
            }
            if (p->engine == NULL) {
                return false;
            }
        }
        p->in = (struct engine_input){bytes, (size_t)n};
        p->status = engine_handshake(p->engine, &p->in, &p->out, NULL);
        BIO_write(p->to_client, p->out.data, (int)p->out.len);
        p->out.len = 0;
    }
    return p->status == ENGINE_OK && SSL_do_handshake(p->client) == 1;
}

static bool one_visit(SSL_CTX *client, SSL_SESSION **session) {
    struct pair p;
    uint8_t plain[100];
    size_t got;
    struct tls_context *ctx = take();
    pair_init(&p, client, "localhost", *session);
    bool good = handshake(&p, ctx);
    /* It was retired after it had been taken: that is allowed, and reported. */
    bool late = !good && p.engine == NULL;
    if (good && SSL_write(p.client, "hello", 5) == 5) {
        uint8_t bytes[200];
        int n = BIO_read(p.from_client, bytes, sizeof bytes);
        p.in = (struct engine_input){bytes, (size_t)n};
        good = engine_read(p.engine, &p.in, plain, sizeof plain, &got, &p.out) == ENGINE_MORE &&
               got == 5 && engine_write(p.engine, plain, got, &p.out) == ENGINE_OK;
        BIO_write(p.to_client, p.out.data, (int)p.out.len);
        good = good && SSL_read(p.client, plain, sizeof plain) == 5;
        SSL_shutdown(p.client);
        SSL_SESSION_free(*session);
        *session = SSL_get1_session(p.client);
        good = good && !engine_is_revoked(p.engine, ctx);
    }
    pair_free(&p);
    tls_context_unref(ctx);
    return good || late;
}

static void *visitor(void *arg) {
    size_t number = (size_t)(uintptr_t)arg;
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    SSL_SESSION *session = NULL;
    const struct pki *cert = number % 2 ? &device : &chained;
    SSL_CTX_set_max_proto_version(client, number < 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    if (number == 0) {
        SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    }
    SSL_CTX_use_certificate(client, cert->cert);
    SSL_CTX_use_PrivateKey(client, cert->key);
    if (cert == &chained) {
        SSL_CTX_add1_chain_cert(client, inter.cert);
    }
    for (int i = 0; i < VISITS; i++) {
        if (!one_visit(client, &session)) {
            atomic_fetch_add(&failures, 1);
        }
        if (i % 3 == 2) { /* a full handshake now and then */
            SSL_SESSION_free(session);
            session = NULL;
        }
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
    return NULL;
}

START_TEST(workers_share_contexts_while_they_are_replaced) {
    struct error err;
    pthread_t threads[THREADS];
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost"}, NULL);
    ca = pki_make((struct pki_spec){.cn = "CA", .ca = 1}, NULL);
    inter = pki_make((struct pki_spec){.cn = "inter", .ca = 1}, &ca);
    device = pki_make((struct pki_spec){.cn = "device"}, &ca);
    chained = pki_make((struct pki_spec){.cn = "chained"}, &inter);
    site_init(&site, pki_certs("s.pem", &server, NULL), pki_key("s.key", &server));
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)pki_certs("ca.pem", &ca, NULL);
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(8, &err);
    current = site_load(&site, &shared);
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, visitor, (void *)(uintptr_t)i), 0);
    }
    for (int i = 0; i < RELOADS; i++) {
        replace(site_load(&site, &shared));
        tls_tickets_use(shared.tickets, NULL);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&failures), 0);
    tls_context_unref(current);
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
    struct pki *all[] = {&server, &ca, &inter, &device, &chained};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    pki_clean();
    tls_library_stop();
}
END_TEST

int main(void) {
    Suite *s = suite_create("threads");
    TCase *tc = tcase_create("threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, workers_share_contexts_while_they_are_replaced);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_NOFORK);
}
