/* What an established connection costs: memory that it keeps, and allocations for what it relays.
 * Only for our own library: the distribution's keeps far more, and copies all. */
#include "run.h"
#include "tls_pair.h"
#include "user_settings.h"

#include <check.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are kept of all that engine_open and the handshake have allocated. Without the
 * assembly for x86-64, AES-GCM has a table of 512 bytes for each direction; with it, Poly1305 has
 * room for eight blocks and for powers of the key, 528 bytes in all, and ChaCha20 for one block of
 * its output, 76 for each direction. */
#ifdef POSTERN_X86_64
enum { AES_MAX = 2200, CHACHA_MAX = 2400 };
#else
enum { AES_MAX = 2200 + 2 * 512, CHACHA_MAX = 1900 };
#endif

enum { RECORD = 16384 };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* Each kind of cipher that an engine chooses: ChaCha20 where the processor has no AES instructions,
 * or for a client that has nothing else. */
static const struct {
    int version;
    const char *cipher;
    int max;
} kinds[] = {
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", AES_MAX},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", AES_MAX},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", CHACHA_MAX},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", CHACHA_MAX},
};

/* --- what is allocated while an engine is at work --- */

static struct {
    bool counting;
    size_t calls;
    long bytes;
} meter;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);

static void *count(void *p) {
    if (meter.counting) {
        meter.calls++;
        meter.bytes += (long)malloc_usable_size(p);
    }
    return p;
}

static void discount(void *p) {
    if (meter.counting) {
        meter.bytes -= (long)malloc_usable_size(p);
    }
}

void *__wrap_malloc(size_t size) {
    return count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size) {
    return count(__real_calloc(number, size));
}

void *__wrap_realloc(void *old, size_t size) {
    discount(old);
    return count(__real_realloc(old, size));
}

void __wrap_free(void *p) {
    discount(p);
    __real_free(p);
}

struct engine *__real_engine_open(struct tls_context *ctx, const struct client_hello *hello);
struct engine *__wrap_engine_open(struct tls_context *ctx, const struct client_hello *hello);

struct engine *__wrap_engine_open(struct tls_context *ctx, const struct client_hello *hello) {
    meter.counting = true;
    struct engine *e = __real_engine_open(ctx, hello);
    meter.counting = false;
    return e;
}

enum engine_status __real_engine_handshake(struct engine *e, struct engine_input *in,
                                           struct buf *out, struct engine_stack *stack);
enum engine_status __wrap_engine_handshake(struct engine *e, struct engine_input *in,
                                           struct buf *out, struct engine_stack *stack);

/* The output is the caller's memory. */
enum engine_status __wrap_engine_handshake(struct engine *e, struct engine_input *in,
                                           struct buf *out, struct engine_stack *stack) {
    ck_assert(buf_reserve(out, RECORD, SIZE_MAX));
    meter.counting = true;
    enum engine_status status = __real_engine_handshake(e, in, out, stack);
    meter.counting = false;
    return status;
}

/* --- connections --- */

static struct pki certificate;
static struct site site;
static struct tls_context *ctx;

static void setup(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    certificate = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    site_init(&site, pki_certs("cert.pem", &certificate, NULL), pki_key("key.pem", &certificate));
    ctx = site_load(&site, NULL);
}

static void teardown(void) {
    tls_context_unref(ctx);
    pki_free(&certificate);
    pki_clean();
    tls_library_stop();
}

/* With `cipher` NULL the engine chooses. */
static void connect_with(struct pair *p, int version, const char *cipher) {
    SSL_CTX *client = client_new(version);
    if (cipher != NULL && version == TLS1_3_VERSION) {
        ck_assert_int_eq(SSL_CTX_set_ciphersuites(client, cipher), 1);
    } else if (cipher != NULL) {
        ck_assert_int_eq(SSL_CTX_set_cipher_list(client, cipher), 1);
    }
    memset(&meter, 0, sizeof meter);
    pair_init(p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(p, ctx), ENGINE_OK);
    SSL_CTX_free(client);
}

static void connect_pair(struct pair *p, int version) {
    connect_with(p, version, NULL);
}

START_TEST(an_established_connection_keeps_little_memory) {
    struct pair p;
    connect_with(&p, kinds[_i].version, kinds[_i].cipher);
    ck_assert_str_eq(engine_cipher(p.engine), kinds[_i].cipher);
    printf("TLS %s, %s: %ld bytes after %zu allocations\n", engine_version(p.engine),
           kinds[_i].cipher, meter.bytes, meter.calls);
    ck_assert_int_gt(meter.bytes, 0);
    ck_assert_int_le(meter.bytes, kinds[_i].max);
    pair_free(&p);
}
END_TEST

START_TEST(what_is_sent_needs_no_allocation) {
    static uint8_t data[3 * RECORD], arrived[RECORD];
    static const size_t sizes[] = {1, 64, RECORD, RECORD + 1, sizeof data};
    struct pair p;
    connect_pair(&p, versions[_i]);
    ck_assert(buf_reserve(&p.out, engine_sealed_size(p.engine, sizeof data) + RECORD, SIZE_MAX));
    meter.calls = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        meter.counting = true;
        enum engine_status status = engine_write(p.engine, data, sizes[i], &p.out);
        meter.counting = false;
        ck_assert_int_eq(status, ENGINE_OK);
        ck_assert_uint_eq(meter.calls, 0);
        pair_deliver(&p);
        for (size_t left = sizes[i]; left > 0;) {
            int n = SSL_read(p.client, arrived, sizeof arrived);
            ck_assert_int_gt(n, 0);
            left -= (size_t)n;
        }
    }
    pair_free(&p);
}
END_TEST

/* The library makes a record where there is room, and the bytes are the same. */
START_TEST(output_that_has_to_grow_arrives_whole) {
    static uint8_t data[5 * RECORD];
    struct pair p;
    connect_pair(&p, versions[_i]);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 1; len < sizeof data; len = len * 3 + 1) {
        buf_free(&p.out);
        pair_send_down(&p, data, len);
        pair_send_up(&p, data, len);
    }
    pair_free(&p);
}
END_TEST

/* Gives the engine the first `len` bytes of what the client has sent. */
static void read_some(struct pair *p, size_t len, size_t plain_len) {
    static uint8_t plain[4 * RECORD];
    size_t got;
    p->in = (struct engine_input){p->up.data, len};
    meter.calls = 0;
    meter.counting = true;
    enum engine_status status = engine_read(p->engine, &p->in, plain, sizeof plain, &got, &p->out);
    meter.counting = false;
    ck_assert_int_eq(status, ENGINE_MORE);
    ck_assert_uint_eq(got, plain_len);
    buf_consume(&p->up, len);
}

START_TEST(whole_records_are_read_without_allocations) {
    static uint8_t data[3 * RECORD];
    struct pair p;
    connect_pair(&p, versions[_i]);
    ck_assert_int_eq(SSL_write(p.client, data, sizeof data), sizeof data);
    pair_collect(&p);
    size_t record = p.up.len / 3;
    read_some(&p, record, RECORD);
    ck_assert_uint_eq(meter.calls, 0);
    read_some(&p, 2 * record, 2 * RECORD);
    ck_assert_uint_eq(meter.calls, 0);
    pair_send_up(&p, "next", 4);
    pair_free(&p);
}
END_TEST

START_TEST(reads_are_made_to_end_with_a_record) {
    static uint8_t data[4 * RECORD];
    struct pair p;
    connect_pair(&p, versions[_i]);
    ck_assert_int_eq(SSL_write(p.client, data, sizeof data), sizeof data);
    pair_collect(&p);
    size_t record = p.up.len / 4, cap = 2 * record + record / 2;
    read_some(&p, record + 100, RECORD);
    ck_assert_uint_eq(engine_read_size(p.engine, cap), record - 100 + record);
    ck_assert_uint_eq(engine_read_size(p.engine, 100), 100);
    read_some(&p, 100, 0);
    ck_assert_uint_eq(engine_read_size(p.engine, cap), record - 200 + record);
    read_some(&p, record - 200, RECORD);
    ck_assert_uint_eq(engine_read_size(p.engine, cap), 2 * record);
    read_some(&p, 2 * record, 2 * RECORD);
    ck_assert_uint_eq(meter.calls, 0);
    ck_assert_uint_eq(engine_write_size(p.engine, 2 * RECORD + 1), 2 * RECORD);
    pair_free(&p);
}
END_TEST

int main(void) {
    const int version_count = sizeof versions / sizeof *versions;
    Suite *suite = suite_create("relaying");
    TCase *test = tcase_create("relaying");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_loop_test(test, an_established_connection_keeps_little_memory, 0,
                        sizeof kinds / sizeof *kinds);
    tcase_add_loop_test(test, what_is_sent_needs_no_allocation, 0, version_count);
    tcase_add_loop_test(test, output_that_has_to_grow_arrives_whole, 0, version_count);
    tcase_add_loop_test(test, whole_records_are_read_without_allocations, 0, version_count);
    tcase_add_loop_test(test, reads_are_made_to_end_with_a_record, 0, version_count);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
