#include "tls_pair.h"

#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

bool is_distribution_library(void) {
    return strstr(tls_library_version(), "distribution") != NULL;
}

void site_add(struct site *site, const char *cert, const char *chain, const char *key) {
    size_t n = site->listener.certificate_count++;
    static const char *names[] = {"main", "second", "third", "fourth"};
    site->sections[n] = (struct config_certificate){
        .name = (char *)names[n], .cert = (char *)cert, .chain = (char *)chain, .key = (char *)key};
    site->pointers[n] = &site->sections[n];
    site->listener.certificates = site->pointers;
}

void site_init(struct site *site, const char *cert, const char *key) {
    memset(site, 0, sizeof *site);
    site->listener = (struct config_listener){
        .name = (char *)"mqtt",
        .tls_min = CONFIG_TLS_1_2,
        .tls_max = CONFIG_TLS_1_3,
        .max_record_size = 16384,
        .resumption_lifetime_ms = 86400 * 1000,
    };
    if (cert != NULL) {
        site_add(site, cert, NULL, key);
    }
}

struct tls_context *site_load(struct site *site, const struct tls_shared *shared) {
    struct error err = {""};
    struct tls_context *ctx = tls_context_load(&site->listener, shared, &err);
    ck_assert_msg(ctx != NULL, "%s", err.text);
    return ctx;
}

SSL_CTX *client_new(int version) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(ctx);
    if (version) {
        SSL_CTX_set_min_proto_version(ctx, version);
        SSL_CTX_set_max_proto_version(ctx, version);
    }
    return ctx;
}

void pair_init(struct pair *p, SSL_CTX *client, const char *name, SSL_SESSION *session) {
    memset(p, 0, sizeof *p);
    p->client = SSL_new(client);
    p->to_client = BIO_new(BIO_s_mem());
    p->from_client = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(p->to_client, -1);
    SSL_set_bio(p->client, p->to_client, p->from_client);
    if (name != NULL) {
        SSL_set_tlsext_host_name(p->client, name);
    }
    if (session != NULL) {
        ck_assert(SSL_set_session(p->client, session));
    }
    SSL_set_connect_state(p->client);
    p->status = ENGINE_MORE;
}

void pair_collect(struct pair *p) {
    char *data;
    long len = BIO_get_mem_data(p->from_client, &data);
    if (len > 0) {
        ck_assert(buf_append(&p->up, data, (size_t)len, SIZE_MAX));
    }
    (void)BIO_reset(p->from_client);
}

void pair_deliver(struct pair *p) {
    struct buf *out = &p->out;
    if (out->len == 0) {
        return;
    }
    ck_assert(buf_append(&p->down, out->data, out->len, SIZE_MAX));
    ck_assert_int_eq(BIO_write(p->to_client, out->data, (int)out->len), (int)out->len);
    out->len = 0;
}

/* Gives the engine the next bytes of `up` and lets it work until they are used up. */
static void step_handshake(struct pair *p) {
    size_t n = p->step && p->step < p->up.len ? p->step : p->up.len;
    p->in = (struct engine_input){p->up.data, n};
    p->status = engine_handshake(p->engine, &p->in, &p->out, p->stack);
    buf_consume(&p->up, n - p->in.len);
}

static bool open_engine(struct pair *p, struct tls_context *ctx) {
    if (p->engine != NULL) {
        return true;
    }
    if (client_hello_parse(p->up.data, p->up.len, &p->hello) != CLIENT_HELLO_OK) {
        return false;
    }
    p->engine = engine_open(ctx, &p->hello);
    ck_assert_ptr_nonnull(p->engine);
    return true;
}

enum engine_status pair_handshake(struct pair *p, struct tls_context *ctx) {
    for (int turn = 0; turn < 50 && p->status == ENGINE_MORE; turn++) {
        SSL_do_handshake(p->client);
        ERR_clear_error();
        pair_collect(p);
        if (!open_engine(p, ctx)) {
            return p->status;
        }
        while ((p->up.len > 0 && p->status == ENGINE_MORE) || p->status == ENGINE_PAUSED) {
            step_handshake(p);
        }
        pair_deliver(p);
    }
    SSL_do_handshake(p->client);
    return p->status;
}

void pair_free(struct pair *p) {
    engine_free(p->engine);
    SSL_free(p->client);
    buf_free(&p->out);
    buf_free(&p->up);
    buf_free(&p->down);
}

void pair_send_up(struct pair *p, const void *data, size_t len) {
    uint8_t *plain = malloc(len + 1);
    size_t sent = 0, total = 0, got;
    while (sent < len) {
        int n = SSL_write(p->client, (const char *)data + sent, (int)(len - sent));
        ck_assert_int_gt(n, 0);
        sent += (size_t)n;
    }
    pair_collect(p);
    while (p->up.len > 0) {
        size_t n = p->step && p->step < p->up.len ? p->step : p->up.len;
        p->in = (struct engine_input){p->up.data, n};
        enum engine_status status =
            engine_read(p->engine, &p->in, plain + total, len + 1 - total, &got, &p->out);
        ck_assert_int_eq(status, ENGINE_MORE);
        ck_assert_uint_eq(p->in.len, 0);
        buf_consume(&p->up, n);
        total += got;
    }
    ck_assert_uint_eq(total, len);
    ck_assert_mem_eq(plain, data, len);
    free(plain);
    pair_deliver(p);
}

void pair_send_down(struct pair *p, const void *data, size_t len) {
    char *plain = malloc(len + 1);
    size_t total = 0;
    ck_assert_int_eq(engine_write(p->engine, data, len, &p->out), ENGINE_OK);
    ck_assert_uint_le(p->out.len, engine_sealed_size(p->engine, len));
    pair_deliver(p);
    for (;;) {
        int n = SSL_read(p->client, plain + total, (int)(len + 1 - total));
        if (n <= 0) {
            break;
        }
        total += (size_t)n;
    }
    ck_assert_uint_eq(total, len);
    ck_assert_mem_eq(plain, data, len);
    free(plain);
}

size_t largest_record(const struct buf *data, int type) {
    size_t largest = 0;
    for (size_t at = 0; at + 5 <= data->len;) {
        size_t body = (size_t)data->data[at + 3] << 8 | data->data[at + 4];
        if ((type == 0 || data->data[at] == type) && body > largest) {
            largest = body;
        }
        at += 5 + body;
    }
    return largest;
}
