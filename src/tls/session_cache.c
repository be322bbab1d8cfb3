/* TLS 1.2 sessions by ID, for clients that do not support tickets. */
#include "tls/client.h"
#include "tls/internal.h"
#include "tls/psk.h"
#include "tls/quirks.h"
#include "tls/tickets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ID_SIZE = QUIRKS_SESSION_ID_SIZE };

struct entry {
    struct entry *next_in_bucket;
    struct entry *older, *newer;
    uint8_t id[ID_SIZE];
    uint8_t binding[TLS_HASH_SIZE];
    int64_t expires;
    int64_t until; /* when tickets that continue it expire, too */
    size_t session_len, peer_len;
    uint8_t data[]; /* the library's form of the session, then client_cert_pack's */
};

struct tls_session_cache {
    pthread_mutex_t lock;
    size_t max, count;
    size_t bucket_mask;
    struct entry **buckets;
    struct entry *oldest, *newest;
};

struct tls_session_cache *tls_session_cache_new(size_t entries, struct error *err) {
    struct tls_session_cache *cache = calloc(1, sizeof *cache);
    size_t buckets = 16;
    while (buckets < entries && buckets < SIZE_MAX / 2) {
        buckets *= 2;
    }
    if (cache != NULL) {
        cache->buckets = calloc(buckets, sizeof *cache->buckets);
    }
    if (cache == NULL || cache->buckets == NULL || pthread_mutex_init(&cache->lock, NULL) != 0) {
        if (cache != NULL) {
            free(cache->buckets);
        }
        free(cache);
        error_set(err, "no memory for a cache of %zu TLS sessions", entries);
        return NULL;
    }
    cache->max = entries;
    cache->bucket_mask = buckets - 1;
    return cache;
}

/* IDs are random bytes that we made: any part of them is a good hash. */
static struct entry **bucket_of(struct tls_session_cache *cache, const uint8_t id[ID_SIZE]) {
    size_t hash;
    memcpy(&hash, id, sizeof hash);
    return &cache->buckets[hash & cache->bucket_mask];
}

static struct entry *find(struct tls_session_cache *cache, const uint8_t id[ID_SIZE]) {
    struct entry *e = *bucket_of(cache, id);
    while (e != NULL && memcmp(e->id, id, ID_SIZE) != 0) {
        e = e->next_in_bucket;
    }
    return e;
}

static void drop_entry(struct entry *e) {
    explicit_bzero(e, sizeof *e + e->session_len + e->peer_len);
    free(e);
}

/* With the lock held. */
static void remove_entry(struct tls_session_cache *cache, struct entry *e) {
    struct entry **link = bucket_of(cache, e->id);
    while (*link != e) {
        link = &(*link)->next_in_bucket;
    }
    *link = e->next_in_bucket;
    *(e->older != NULL ? &e->older->newer : &cache->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &cache->newest) = e->older;
    cache->count--;
    drop_entry(e);
}

/* With the lock held. */
static void insert_entry(struct tls_session_cache *cache, struct entry *e) {
    struct entry **bucket = bucket_of(cache, e->id);
    e->next_in_bucket = *bucket;
    *bucket = e;
    e->newer = NULL;
    e->older = cache->newest;
    *(e->older != NULL ? &e->older->newer : &cache->oldest) = e;
    cache->newest = e;
    cache->count++;
}

void tls_session_cache_free(struct tls_session_cache *cache) {
    if (cache == NULL) {
        return;
    }
    while (cache->oldest != NULL) {
        remove_entry(cache, cache->oldest);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache->buckets);
    free(cache);
}

#ifdef HAVE_EXT_CACHE

static struct tls_session_cache *cache_of(const struct engine *e) {
    return e->ctx != NULL ? e->ctx->shared.sessions : NULL;
}

static struct entry *make_entry(WOLFSSL_SESSION *session, const struct client_cert *peer,
                                int64_t lifetime) {
    uint8_t packed[CLIENT_CERT_PACKED_MAX];
    size_t peer_len = client_cert_pack(peer, packed);
    int session_len = wolfSSL_i2d_SSL_SESSION(session, NULL);
    struct entry *e = session_len > 0 ? malloc(sizeof *e + (size_t)session_len + peer_len) : NULL;
    if (e == NULL) {
        return NULL;
    }
    unsigned char *at = e->data;
    e->session_len = (size_t)wolfSSL_i2d_SSL_SESSION(session, &at);
    e->peer_len = peer_len;
    bool whole = e->session_len == (size_t)session_len;
    const uint8_t *id = whole ? quirks_session_id(e->data, e->session_len) : NULL;
    if (id == NULL) {
        free(e);
        return NULL;
    }
    memcpy(e->data + session_len, packed, peer_len);
    memcpy(e->id, id, ID_SIZE);
    memcpy(e->binding, peer->binding, sizeof e->binding);
    e->until = (int64_t)time(NULL) + lifetime;
    e->expires =
        (int64_t)time(NULL) + (lifetime < TLS_RESUME_SECONDS ? lifetime : TLS_RESUME_SECONDS);
    if (peer->id.serial_len > 0 && peer->not_after < e->expires) {
        e->expires = peer->not_after;
    }
    return e;
}

/* The library has made a new session. It is kept only if the client was not given a ticket. */
static int on_new(WOLFSSL *ssl, WOLFSSL_SESSION *session) {
    struct engine *engine = engine_of(ssl);
    struct client_cert *peer = engine->peer;
    struct tls_session_cache *cache = cache_of(engine);
    if (cache == NULL || peer == NULL || peer->ticket_issued ||
        wolfSSL_version(ssl) != TLS1_2_VERSION || wolfSSL_session_reused(ssl)) {
        return 0;
    }
    psk_settle(engine);
    /* In a full handshake a certificate counts only if it was presented in it. */
    struct client_cert none = {.presented = false};
    memcpy(none.binding, peer->binding, sizeof none.binding);
    struct entry *e = make_entry(session, peer->presented || peer->psk ? peer : &none,
                                 engine->ctx->resumption_seconds);
    if (e == NULL) {
        return 0;
    }
    pthread_mutex_lock(&cache->lock);
    if (find(cache, e->id) != NULL) {
        drop_entry(e);
    } else {
        insert_entry(cache, e);
        if (cache->count > cache->max) {
            remove_entry(cache, cache->oldest);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    return 0; /* the library keeps its own reference */
}

/* In TLS 1.3 the library asks for any identity of 32 bytes, also beside a ticket that was accepted:
 * the session's owner, whose ID anybody can have seen, would take the place of the ticket's. */
static bool is_for_id(WOLFSSL *ssl, const struct client_cert *peer) {
    return wolfSSL_version(ssl) == TLS1_2_VERSION && !peer->ticket_accepted;
}

static WOLFSSL_SESSION *on_get(WOLFSSL *ssl, const unsigned char *id, int id_len, int *copy) {
    struct engine *engine = engine_of(ssl);
    struct client_cert *peer = engine->peer;
    struct tls_session_cache *cache = cache_of(engine);
    WOLFSSL_SESSION *session = NULL;
    *copy = 0; /* the library takes over our reference */
    if (cache == NULL || peer == NULL || id_len != ID_SIZE || !is_for_id(ssl, peer)) {
        return NULL;
    }
    pthread_mutex_lock(&cache->lock);
    struct entry *e = find(cache, id);
    if (e != NULL && e->expires <= (int64_t)time(NULL)) {
        remove_entry(cache, e);
        e = NULL;
    }
    if (e != NULL && memcmp(e->binding, peer->binding, sizeof e->binding) == 0 &&
        client_cert_unpack(peer, e->data + e->session_len, e->peer_len) &&
        clients_resume(engine->ctx, peer)) {
        const unsigned char *at = e->data;
        peer->resume_until = e->until;
        session = wolfSSL_d2i_SSL_SESSION(NULL, &at, (long)e->session_len);
    }
    pthread_mutex_unlock(&cache->lock);
    return session;
}

void session_cache_attach(struct tls_session_cache *cache, WOLFSSL_CTX *ssl_ctx) {
    if (cache == NULL) {
        return;
    }
    wolfSSL_CTX_sess_set_new_cb(ssl_ctx, on_new);
    wolfSSL_CTX_sess_set_get_cb(ssl_ctx, on_get);
}

#else

void session_cache_attach(struct tls_session_cache *cache, WOLFSSL_CTX *ssl_ctx) {
}

#endif
