/* What a client certificate costs: processor time and peak memory of the server's side of whole
 * handshakes in memory, by kind of key and by kind of chain, up to the most expensive ones that a
 * client can send. The client is OpenSSL's and is not counted.
 *
 *     build/tests/bench/bench-client-certs [HANDSHAKES]
 *
 * Memory is what is allocated within the engine's calls, at its most. */
#include "../unit/tls_pair.h"

#include <check.h>
#include <malloc.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SENT_MAX = 16, HELD_MAX = 1 << 14, TOP = 15 };

/* --- what the engine allocates, and how long it works --- */

static struct {
    const void *held[HELD_MAX]; /* allocated within the engine, not freed yet */
    size_t bytes, peak;
    uint64_t ns;
    bool inside;
} meter;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);

static const void **place_of(const void *p) {
    size_t at = ((uintptr_t)p >> 4) * 2654435761u % HELD_MAX;
    for (size_t i = 0; i < HELD_MAX; i++, at = (at + 1) % HELD_MAX) {
        if (meter.held[at] == p) {
            return &meter.held[at];
        }
    }
    return NULL;
}

static void *count_in(void *p) {
    if (meter.inside && p != NULL) {
        size_t at = ((uintptr_t)p >> 4) * 2654435761u % HELD_MAX;
        while (meter.held[at] != NULL) {
            at = (at + 1) % HELD_MAX;
        }
        meter.held[at] = p;
        meter.bytes += malloc_usable_size(p);
        meter.peak = meter.bytes > meter.peak ? meter.bytes : meter.peak;
    }
    return p;
}

static void count_out(void *p) {
    const void **place = p != NULL ? place_of(p) : NULL;
    if (place != NULL) {
        *place = NULL;
        meter.bytes -= malloc_usable_size(p);
    }
}

void *__wrap_malloc(size_t size) {
    return count_in(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return count_in(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size) {
    count_out(old);
    return count_in(__real_realloc(old, size));
}

void __wrap_free(void *p) {
    count_out(p);
    __real_free(p);
}

static uint64_t processor_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct tls_context *newer; /* by which a client is checked again; NULL: by none */

struct engine *__real_engine_open(struct tls_context *ctx, const struct client_hello *hello);
struct engine *__wrap_engine_open(struct tls_context *ctx, const struct client_hello *hello);
struct engine *__wrap_engine_open(struct tls_context *ctx, const struct client_hello *hello) {
    uint64_t begun = processor_ns();
    meter.inside = true;
    struct engine *e = __real_engine_open(ctx, hello);
    meter.inside = false;
    meter.ns += processor_ns() - begun;
    if (e != NULL && newer != NULL) {
        engine_check_by(e, newer);
    }
    return e;
}

enum engine_status __real_engine_handshake(struct engine *e, struct engine_input *in,
                                           struct buf *out, struct engine_stack *stack);
enum engine_status __wrap_engine_handshake(struct engine *e, struct engine_input *in,
                                           struct buf *out, struct engine_stack *stack);
enum engine_status __wrap_engine_handshake(struct engine *e, struct engine_input *in,
                                           struct buf *out, struct engine_stack *stack) {
    uint64_t begun = processor_ns();
    meter.inside = true;
    enum engine_status status = __real_engine_handshake(e, in, out, stack);
    meter.inside = false;
    meter.ns += processor_ns() - begun;
    return status;
}

/* --- handshakes --- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static unsigned rounds = 300;
static double normal_us[2];

static enum reason visit(struct tls_context *ctx, int version, const struct pki *const *sent) {
    SSL_CTX *client = client_new(version);
    struct pair p;
    SSL_CTX_set_security_level(client, 0);
    if (sent[0] != NULL) {
        SSL_CTX_use_certificate(client, sent[0]->cert);
        SSL_CTX_use_PrivateKey(client, sent[0]->key);
    }
    for (size_t i = 1; sent[0] != NULL && sent[i] != NULL; i++) {
        SSL_CTX_add1_chain_cert(client, sent[i]->cert);
    }
    pair_init(&p, client, "localhost", NULL);
    (void)pair_handshake(&p, ctx);
    enum reason reason = engine_failure(p.engine);
    pair_free(&p);
    memset(meter.held, 0, sizeof meter.held); /* what is left belongs to the context */
    meter.bytes = 0;
    SSL_CTX_free(client);
    return reason;
}

/* One line: what it is, time and memory in both versions, the outcome, and how many times a usual
 * client's time it took. */
static void measure(const char *what, struct tls_context *ctx, const struct pki *const *sent,
                    bool is_normal) {
    printf("| %s |", what);
    for (size_t v = 0; v < 2; v++) {
        enum reason reason = visit(ctx, versions[v], sent);
        meter.ns = meter.peak = 0;
        for (unsigned i = 0; i < rounds; i++) {
            (void)visit(ctx, versions[v], sent);
        }
        double us = (double)meter.ns / 1000 / rounds;
        normal_us[v] = is_normal ? us : normal_us[v];
        printf(" %s | %.0f | %.2f | %zu |", reason_name(reason), us, us / normal_us[v], meter.peak);
    }
    printf("\n");
    fflush(stdout);
}
#define MEASURE(what, ctx, ...)                                                                    \
    measure(what, ctx, (const struct pki *const[]){__VA_ARGS__, NULL}, false)

static struct pki server, root;
static struct tls_context *rooted;

static struct tls_context *trusting(const char *name, const struct pki *ca,
                                    enum config_client_auth auth) {
    struct site site;
    char cert[60], key[60];
    snprintf(cert, sizeof cert, "%s-server.pem", name);
    snprintf(key, sizeof key, "%s-server.key", name);
    site_init(&site, pki_certs(cert, &server, NULL), pki_key(key, &server));
    site.listener.client_auth = auth;
    site.listener.client_ca = (char *)pki_certs(name, ca, NULL);
    return site_load(&site, NULL);
}

static struct pki ca(const char *cn, const struct pki *issuer) {
    return pki_make((struct pki_spec){.cn = cn, .ca = 1}, issuer);
}

static struct pki device(const struct pki *issuer) {
    return pki_make((struct pki_spec){.cn = "device"}, issuer);
}

/* --- usual clients --- */

static const struct {
    const char *name;
    enum pki_key key;
} kinds[] = {{"P-256", PKI_P256},      {"P-384", PKI_P384},       {"P-521", PKI_P521},
             {"Ed25519", PKI_ED25519}, {"RSA 2048", PKI_RSA2048}, {"RSA 4096", PKI_RSA4096},
             {"RSA 8192", PKI_RSA8192}};

static void measure_usual(void) {
    struct tls_context *open = trusting("open.pem", &root, CLIENT_AUTH_NONE);
    struct pki sub = ca("Sub", &root), leaf = device(&sub), direct = device(&root);
    const struct pki *usual[] = {&leaf, &sub, NULL};
    measure("P-256, its CA below the root (the measure)", rooted, usual, true);
    measure("no client certificate", open, (const struct pki *const[]){NULL}, false);
    MEASURE("P-256, issued by the root", rooted, &direct);
    for (size_t i = 1; i < sizeof kinds / sizeof *kinds; i++) {
        struct pki key = pki_make((struct pki_spec){.cn = "device", .key = kinds[i].key}, &root);
        MEASURE(kinds[i].name, rooted, &key);
        pki_free(&key);
    }
    for (size_t i = 1; i < sizeof kinds / sizeof *kinds; i++) {
        struct pki own =
            pki_make((struct pki_spec){.cn = "Own", .ca = 1, .key = kinds[i].key}, NULL);
        struct pki below = device(&own);
        char what[60], name[40];
        snprintf(what, sizeof what, "P-256, its CA is the root, %s", kinds[i].name);
        snprintf(name, sizeof name, "own-%zu.pem", i);
        struct tls_context *ctx = trusting(name, &own, CLIENT_AUTH_REQUIRED);
        MEASURE(what, ctx, &below);
        tls_context_unref(ctx);
        pki_free(&below);
        pki_free(&own);
    }
    tls_context_unref(open);
}

/* --- the most expensive ones --- */

/* Fifteen CAs of one name that all claim to be issued by the root. */
static void measure_outsider(void) {
    struct pki outsider = ca("Root", NULL), fakes[TOP], leaf;
    const struct pki *sent[SENT_MAX + 1] = {&leaf};
    for (size_t i = 0; i < TOP; i++) {
        fakes[i] = ca("Fake", &outsider);
        sent[i + 1] = &fakes[i];
    }
    leaf = device(&fakes[0]);
    measure("outsider: fifteen forged CAs", rooted, sent, false);
}

static void measure_ladder(const char *what, enum pki_key kind, const struct pki *top,
                           struct tls_context *ctx) {
    struct pki key = pki_make((struct pki_spec){.cn = "Level", .ca = 1, .key = kind}, top);
    struct pki steps[TOP], leaf;
    const struct pki *sent[SENT_MAX + 1] = {&leaf};
    steps[0] = key;
    for (size_t i = 1; i < TOP; i++) {
        char name[20];
        snprintf(name, sizeof name, "Level %zu", i);
        steps[i] = pki_make((struct pki_spec){.cn = name, .ca = 1, .key_of = &key}, &steps[i - 1]);
    }
    for (size_t length = 1; length <= TOP; length += length == 1 ? 1 : TOP - 2) {
        char row[80];
        leaf = device(&steps[length - 1]);
        for (size_t i = 0; i < length; i++) {
            sent[1 + i] = &steps[length - 1 - i];
        }
        sent[1 + length] = NULL;
        snprintf(row, sizeof row, "%s, %zu in a row", what, length);
        measure(row, ctx, sent, false);
    }
}

/* What the client's own signature leaves is used for its CAs. */
static void measure_heavy_client(void) {
    struct pki steps[4], leaf;
    const struct pki *sent[SENT_MAX + 1] = {&leaf};
    for (size_t length = 1; length <= 4; length++) {
        char name[20], row[80];
        snprintf(name, sizeof name, "Step %zu", length);
        steps[length - 1] = pki_make((struct pki_spec){.cn = name, .ca = 1, .key = PKI_P384},
                                     length > 1 ? &steps[length - 2] : &root);
        leaf = pki_make((struct pki_spec){.cn = "device", .key = PKI_RSA8192}, &steps[length - 1]);
        for (size_t i = 0; i < length; i++) {
            sent[1 + i] = &steps[length - 1 - i];
        }
        snprintf(row, sizeof row, "tenant: RSA 8192 client, %zu CAs with P-384", length);
        measure(row, rooted, sent, false);
    }
}

/* A long name in two spellings, its parts in another order. */
static void set_long_name(X509_NAME *name, bool turned) {
    char text[24];
    while (X509_NAME_entry_count(name) > 0) {
        X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0));
    }
    memset(text, 'n', sizeof text);
    for (int i = 0; i < 8; i++) {
        text[sizeof text - 1] = (char)('0' + i % 8);
        int type = (i % 8 < 4) == turned ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING;
        X509_NAME_add_entry_by_NID(name, NID_organizationalUnitName, type, (unsigned char *)text,
                                   sizeof text, -1, i % 8 == 0 ? 0 : -1);
    }
}

static void measure_names(void) {
    struct pki same[TOP], leaf;
    const struct pki *sent[SENT_MAX + 1] = {&leaf};
    for (size_t i = 0; i < TOP; i++) {
        same[i] = ca("Same", NULL);
        set_long_name(X509_get_subject_name(same[i].cert), false);
        set_long_name(X509_get_issuer_name(same[i].cert), true);
        X509_sign(same[i].cert, same[i].key, EVP_sha256());
        sent[i + 1] = &same[i];
    }
    leaf = device(&same[0]);
    set_long_name(X509_get_issuer_name(leaf.cert), true);
    X509_sign(leaf.cert, same[0].key, EVP_sha256());
    measure("outsider: fifteen CAs of one long name in two spellings", rooted, sent, false);
}

/* --- tenants: what a sub-CA can do --- */

static char *repeated(const char *format, int count) {
    char *text = malloc((size_t)count * 64 + 64), *at = text;
    for (int i = 0; i < count; i++) {
        at += sprintf(at, format, i > 0 ? "," : "", i);
    }
    return text;
}

static void measure_constraints(void) {
    char *limits = repeated("%spermitted;DNS:d%d.example", 100);
    char *few = repeated("%sDNS:a.d%d.example", 100);
    struct pki bound =
        pki_make((struct pki_spec){.cn = "Bound", .ca = 1, .constraints = limits}, &root);
    struct pki leaf = pki_make((struct pki_spec){.cn = "device", .alt = few}, &bound);
    MEASURE("tenant: 100 names, 100 name constraints", rooted, &leaf, &bound);
    char *long_name = repeated("%sDNS:a-very-long-name-without-any-dots-in-it-%d.example", 40);
    struct pki wide = pki_make((struct pki_spec){.cn = "device", .alt = long_name}, &bound);
    MEASURE("tenant: 40 long names, 100 name constraints", rooted, &wide, &bound);
    free(limits);
    free(few);
    free(long_name);
}

/* Seven levels of two CAs that certify each other's successors: 128 paths, each of which breaks a
 * constraint of the top. */
static void measure_diamonds(void) {
    struct pki top = pki_make(
        (struct pki_spec){.cn = "Top", .ca = 1, .constraints = "permitted;DNS:a.example"}, &root);
    struct pki twins[14], leaf;
    const struct pki *sent[SENT_MAX + 1] = {&leaf, &top};
    for (size_t i = 0; i < 14; i++) {
        char name[20];
        snprintf(name, sizeof name, "Twin %zu", i / 2);
        const struct pki *issuer = i < 2 ? &top : &twins[(i / 2 - 1) * 2];
        struct pki_spec spec = {.cn = name, .ca = 1, .key_id = "none", .issuer_key_id = "none"};
        if (i >= 1) {
            spec.key_of = &twins[0];
        }
        twins[i] = pki_make(spec, issuer);
        sent[2 + i] = &twins[i];
    }
    leaf =
        pki_make((struct pki_spec){.cn = "device", .alt = "DNS:b.example", .issuer_key_id = "none"},
                 &twins[12]);
    measure("tenant: 128 paths that break a name constraint", rooted, sent, false);
}

/* The clients whose certificates are checked again at the end of their handshake, in one piece
 * (clients_check_late): what this adds to the rows without a reload is how long. */
static void measure_reload(void) {
    struct pki big = pki_make((struct pki_spec){.cn = "Big", .ca = 1, .key = PKI_RSA8192}, NULL);
    struct pki p521 = pki_make((struct pki_spec){.cn = "P521", .ca = 1, .key = PKI_P521}, NULL);
    const struct {
        const char *name;
        const struct pki *ca;
        enum pki_key key;
    } roots[] = {{"P-256", &root, PKI_P256},
                 {"P-384 below P-256", &root, PKI_P384},
                 {"P-384 below P-521", &p521, PKI_P384},
                 {"P-521 below P-521", &p521, PKI_P521},
                 {"RSA 8192 below RSA 8192", &big, PKI_RSA8192}};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        char name[40], row[80];
        snprintf(name, sizeof name, "reload-%zu.pem", i);
        struct tls_context *ctx = trusting(name, roots[i].ca, CLIENT_AUTH_REQUIRED);
        struct tls_context *again = trusting(name, roots[i].ca, CLIENT_AUTH_REQUIRED);
        for (int reload = 0; reload < 2; reload++) {
            newer = reload ? again : NULL;
            snprintf(row, sizeof row, "%s%s", roots[i].name, reload ? ", reload" : "");
            measure_ladder(row, roots[i].key, roots[i].ca, ctx);
        }
        newer = NULL;
        tls_context_unref(again);
        tls_context_unref(ctx);
    }
    pki_free(&p521);
    pki_free(&big);
}

/* What makes certificates and connections asserts as tests do, so this is one. */
START_TEST(measure_all) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    root = ca("Root", NULL);
    rooted = trusting("root.pem", &root, CLIENT_AUTH_REQUIRED);
    printf("| client | TLS 1.2 | us | times | peak bytes | TLS 1.3 | us | times | peak bytes |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    measure_usual();
    measure_outsider();
    measure_names();
    measure_ladder("tenant: CAs with P-256", PKI_P256, &root, rooted);
    measure_ladder("tenant: CAs with P-384", PKI_P384, &root, rooted);
    measure_ladder("tenant: CAs with P-521", PKI_P521, &root, rooted);
    measure_heavy_client();
    measure_ladder("tenant: CAs with RSA 8192", PKI_RSA8192, &root, rooted);
    measure_constraints();
    measure_diamonds();
    measure_reload();
    tls_context_unref(rooted);
    pki_clean();
}
END_TEST

int main(int argc, char **argv) {
    rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : rounds;
    Suite *suite = suite_create("client certificates");
    TCase *all = tcase_create("all");
    tcase_add_test(all, measure_all);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
