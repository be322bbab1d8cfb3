/* What the files of src/tls/ share. No file elsewhere includes this. */
#ifndef POSTERN_TLS_INTERNAL_H
#define POSTERN_TLS_INTERNAL_H

#include "core/buf.h"
#include "core/reason.h"
#include "tls/expiries.h"
#include "tls/groups.h"
#include "tls/quirks.h"
#include "tls/types.h"
#include "tls/wolfssl.h"
#include "tls/x509.h"
#include "wire/client_hello.h"

#include <stdatomic.h>

#define TLS_HASH_SIZE 32
/* How much of the SHA-256 of a certificate and its key is kept of a client. */
#define TLS_ALLOW_HASH_SIZE 16
/* Longest identity; longer ones are refused, never cut. */
#define TLS_IDENTITY_MAX 255
/* As many CAs as a client may send are between its certificate and an anchor: PATH_SENT_MAX - 1. */
#define TLS_ISSUERS_MAX 15

/* One certificate with its key. The library has one such certificate per WOLFSSL_CTX. */
struct tls_certificate {
    WOLFSSL_CTX *ssl_ctx;
    enum x509_key key;
    char **names; /* DNS names, lower case; "*.example.org" is a wildcard */
    size_t name_count;
    struct tls_certificate_info info; /* its strings are ours */
    struct expiries expiries;         /* of all that is sent */
    uint8_t *secret;                  /* the key, for ssl_ctx; NULL: in the library's memory */
    size_t secret_size;
};

/* What client certificates are checked against (client.c). */
struct tls_clients;

/* The certificates that a client sent (client.c). */
struct client_chain;

/* The pre-shared key that a client tries (psk.c). */
struct psk_attempt;

struct tls_context {
    atomic_uint refs;
    /* Handshakes that may still ask for CAs and CRLs, and one for not being retired; the one that
     * decrements it to 0 frees those. */
    atomic_uint users;
    struct tls_certificate *certificates;
    size_t certificate_count;
    struct tls_shared shared;
    /* For a listener without certificates: only a WOLFSSL_CTX, and no certificate in it. */
    struct tls_certificate bare;
    struct tls_clients *clients; /* NULL with client_auth = none and without psk_file */
    bool has_clients;            /* as it was loaded */
    bool heavy_clients;          /* checking their certificates takes long */
    bool has_allow;              /* then: */
    struct tls_allow_counts allow_counts;
    size_t psk_count; /* 0: no psk_file */
    enum config_client_auth client_auth;
    enum config_identity identity;
    bool identity_required;     /* the broker gets it: a bad one ends the handshake */
    bool keeps_issuers;         /* of clients, for clients_recheck: revoked_sessions = end */
    int64_t resumption_seconds; /* from a full handshake */
    uint16_t max_record_size;
    struct groups groups;
    uint8_t *protocols; /* of the listener's alpn, in order: each with its length before it */
    size_t protocols_len;
    bool protocol_required;
    bool refuse_unknown_name; /* a server name that no certificate here has, or none */
    enum config_tls_version tls_min, tls_max;
    /* SHA-256 over what a full handshake would have checked; see hello.c for the server name. */
    uint8_t policy[TLS_HASH_SIZE];
};

/* The certificate for this client: server name first, then what it can verify. Without any, the
 * bare one. */
const struct tls_certificate *tls_context_choose(const struct tls_context *ctx,
                                                 const struct client_hello *hello);

/* Whether a certificate has that server name, itself or by a wildcard; none has "". */
bool tls_context_has_name(const struct tls_context *ctx, const char *server_name);

/* Before and after a handshake: see `users`. False if the context is already retired. */
bool tls_context_enter(struct tls_context *ctx);
void tls_context_leave(struct tls_context *ctx);

/* What is known of a client by its certificate, or by its pre-shared key. During the handshake
 * engine.peer always points to one; afterwards only if there was either, and then cut to its
 * strings. */
struct client_cert {
    struct cert_id id; /* serial_len 0: no certificate */
    bool presented;    /* in this connection, not only in the session it resumes */
    bool has_identity;
    bool has_detail; /* a refusal: `text` names the certificate that is to blame */
    bool listed;     /* client_allow had an entry for it; then: */
    bool named;      /* the identity is the entry's, not its own */
    bool psk;        /* it has the key of the identity; key_hash is that key's mark (psk_list.h) */
    uint8_t cert_hash[TLS_ALLOW_HASH_SIZE], key_hash[TLS_ALLOW_HASH_SIZE];
    uint8_t issuer_count; /* CAs that the client sent and that its path needs; if they are kept */
    int64_t not_after;
    /* The identity; after its NUL, or in its place, the cert_ids of those CAs. */
    char text[TLS_IDENTITY_MAX + 1 + TLS_ISSUERS_MAX * sizeof(struct cert_id)];
    /* From here on only during the handshake. */
    struct client_chain *chain;     /* what was accepted, for engine_check_by; ours */
    struct psk_attempt *attempt;    /* NULL: none so far; ours */
    struct tls_context *newer;      /* counted as its user; NULL: none */
    enum reason refusal;            /* why our own checks refused the certificate */
    uint8_t binding[TLS_HASH_SIZE]; /* what tickets and sessions are tied to */
    uint8_t offer[TLS_HASH_SIZE];   /* what a second hello must repeat */
    struct flight_start flight;     /* the client's last */
    const uint8_t *protocol;        /* answers ALPN: in ctx, its length before it; NULL: none */
    int64_t resume_until;           /* of the session that is resumed */
    uint8_t ticket_mac[16];         /* of the one ticket that was accepted */
    uint8_t ticket_generation;      /* resumptions in a row before the accepted ticket's */
    struct hello_share share;       /* what our key pair is expected to be combined with */
    bool ticket_accepted;
    bool ticket_issued; /* in this connection */
    bool starved;       /* an allocation failed in the last call of the library */
};

/* The issuers in `text`: one more, once the identity is final; and where they are. */
void client_cert_add_issuer(struct client_cert *peer, const struct cert_id *id);
const struct cert_id *client_cert_issuers(const struct client_cert *peer);
/* How many bytes of it are worth keeping after the handshake. */
size_t client_cert_size(const struct client_cert *peer);

/* The certificate's part of client_cert, or the key's, as bytes, for tickets and the session cache.
 */
#define CLIENT_CERT_PACKED_MAX                                                                     \
    (1 + 4 + sizeof(struct cert_id) + 2 * TLS_ALLOW_HASH_SIZE + TLS_IDENTITY_MAX + 1 + 1 +         \
     TLS_ISSUERS_MAX * sizeof(struct cert_id))
size_t client_cert_pack(const struct client_cert *peer, uint8_t out[CLIENT_CERT_PACKED_MAX]);
bool client_cert_unpack(struct client_cert *peer, const uint8_t *data, size_t len);
void client_cert_clear(struct client_cert *peer); /* that part: nobody */

/* The library's ticket callback; `arg` is the struct tls_tickets. */
int tickets_callback(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                     unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                     unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt, unsigned char *ticket,
                     int in_len, int *out_len, void *arg);

/* Makes the context's connections use the session cache; where the library has no hooks for one,
 * nothing. */
void session_cache_attach(struct tls_session_cache *cache, WOLFSSL_CTX *ssl_ctx);

/* What one call of an engine was given, for the library's callbacks. */
struct engine_call {
    struct engine_input *in; /* NULL while the handshake is paused: no callback runs */
    struct buf *out;         /* NULL: output is dropped */
    struct engine_stack *stack;
    bool consumed; /* some of the input */
    bool reading;  /* within engine_read; then: */
    size_t room;   /* for plaintext */
    bool writing;  /* within engine_write */
};

struct engine {
    WOLFSSL *ssl;
    struct engine_call *call; /* under way; or the paused one of the stack; else NULL */
    struct tls_context *ctx;  /* until the handshake is complete */
    struct client_cert *peer; /* what the client's certificate said; NULL without one */
    uint32_t record, missing; /* the peer's last record, and what has not come of it yet; bytes */
    uint16_t record_size;     /* largest plaintext per record sent */
    uint8_t alert;            /* sent or received with a failure; 0: none */
    uint8_t failure;          /* enum reason */
    uint8_t answers;          /* records sent in answer to the peer since its last data */
    uint8_t idle_records;     /* records that came since its last data */
    uint8_t group;            /* of the key exchange: groups_find */
    bool handshaking : 1;
    bool closed : 1;  /* we sent close_notify */
    bool entered : 1; /* counted as a user of ctx */
    bool resumed : 1;
    bool cut_flight : 1; /* TLS 1.2 plaintext flight is cut to record_size on its way out */
};

/* The public key of X25519 that a first step of TLS 1.3 will combine ours with; in `hello`, or
 * NULL: none. */
const struct hello_share *agreement_share(const struct tls_context *ctx,
                                          const struct client_hello *hello);

/* Until the next call on this thread, key pairs are those that agreements_compute made for this
 * share of the client; NULL: new ones. It stays the caller's, and must be there until then. */
void agreement_expect(const uint8_t *share);

/* The engine of one of the library's connections. */
struct engine *engine_of(WOLFSSL *ssl);

/* The library's I/O: what its callbacks return. Only within a call of the engine. */
int engine_receive(struct engine *e, uint8_t *buf, size_t size);
int engine_send(struct engine *e, const uint8_t *buf, size_t size);

/* One call of the library for the handshake: WOLFSSL_SUCCESS or the library's error code. */
int engine_accept(struct engine *e);

/* Whether this engine can make a step on the stack: no other's is under way there. That of a freed
 * engine is continued first. */
bool engine_stack_is_free(struct engine_stack *stack, const struct engine *e);

/* As engine_accept, on a stack that is free for it. False if it paused: then `code` is not set. */
bool engine_stack_accept(struct engine_stack *stack, struct engine *e, int *code);

/* The engine's call from here on, until it is resumed. */
struct engine_call *engine_stack_pause(struct engine_stack *stack);

/* Takes over an engine whose step is paused. */
void engine_stack_adopt(struct engine_stack *stack, struct engine *e);

/* Tests our own vector code and enables it; logs a warning for what fails. Before there are
 * threads. */
void tls_kernels_start(void);

/* What the library's error code means: the reason for the log if it comes in a handshake, and the
 * alert for the client where the library sends none (0: none is due). */
struct failure {
    enum reason reason;
    uint8_t alert;
};
struct failure failure_of(int code);
/* The alert that reports to a client why its certificate is refused (RFC 8446 6.2); 0: the
 * library's. */
uint8_t failure_alert(enum reason reason);

#endif
