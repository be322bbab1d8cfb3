/* Which reasons a closing line may name, by what the peers did and what the installation wants. */
#include "trace.h"
#include "world.h"

enum fact {
    CLIENT_CLOSED = 1 << SITE_CERT_COUNT, /* below: bits of the certificates */
    CLIENT_FIN = CLIENT_CLOSED << 1,
    CLIENT_DEAD = CLIENT_CLOSED << 2,
    CLIENT_DAMAGED = CLIENT_CLOSED << 3,
    CLIENT_UPDATES = CLIENT_CLOSED << 4,
    BROKER_FIN = CLIENT_CLOSED << 5,
    BROKER_DEAD = CLIENT_CLOSED << 6,
    NO_TLS = CLIENT_CLOSED << 7,
    OLD_TLS = CLIENT_CLOSED << 8,
    NO_CIPHER = CLIENT_CLOSED << 9,
    DISTRUSTS = CLIENT_CLOSED << 10,
    NO_MQTT = CLIENT_CLOSED << 11,
    NO_HEADER = CLIENT_CLOSED << 12,
    MQTT = CLIENT_CLOSED << 13,
    LIMITED = CLIENT_CLOSED << 14,
    DRAINING = CLIENT_CLOSED << 15,
    TIME = CLIENT_CLOSED << 16, /* has passed since the accept */
    LOGIN_REFUSED = CLIENT_CLOSED << 17,
    FOREIGN_ID = CLIENT_CLOSED << 18,
    OVERTAKEN = CLIENT_CLOSED << 19, /* by a reload, with an old session in its hello */
    ANY = CLIENT_CLOSED << 20
};

/* At least one of these facts. What is not here does not happen to an undamaged client. */
static const unsigned causes[REASON_COUNT] = {
    [REASON_CLIENT_CLOSED] = CLIENT_CLOSED | CLIENT_FIN | CLIENT_DEAD,
    [REASON_BROKER_CLOSED] = BROKER_FIN,
    [REASON_CLIENT_RESET] = CLIENT_DEAD,
    [REASON_BROKER_RESET] = BROKER_DEAD,
    [REASON_CLIENT_TRUNCATED] = CLIENT_FIN,
    [REASON_BROKER_UNREACHABLE] = ANY,
    [REASON_BROKER_TIMEOUT] = TIME,
    [REASON_WRITE_TIMEOUT] = TIME,
    [REASON_IDLE_TIMEOUT] = TIME,
    [REASON_CLOSE_TIMEOUT] = CLIENT_CLOSED | BROKER_FIN,
    [REASON_NOT_MQTT] = NO_MQTT,
    [REASON_BAD_CLIENT_ID] = FOREIGN_ID,
    [REASON_BROKER_REFUSED] = LOGIN_REFUSED,
    [REASON_FIRST_DATA_TIMEOUT] = TIME,
    [REASON_CONNECT_PACKET_TIMEOUT] = MQTT,
    [REASON_TLS_ERROR] = CLIENT_UPDATES,
    [REASON_NOT_TLS] = NO_TLS,
    [REASON_FIRST_BYTE_TIMEOUT] = TIME,
    [REASON_HANDSHAKE_TIMEOUT] = TIME,
    [REASON_NO_SHARED_CIPHER] = NO_CIPHER,
    [REASON_UNSUPPORTED_VERSION] = OLD_TLS,
    [REASON_NO_CERTIFICATE_GIVEN] = 1 << SITE_NONE | OVERTAKEN,
    [REASON_UNKNOWN_CA] = 1 << SITE_STRANGER,
    [REASON_EXPIRED] = 1 << SITE_EXPIRED,
    [REASON_NOT_YET_VALID] = 1 << SITE_EARLY,
    [REASON_WRONG_USAGE] = 1 << SITE_SERVER_ONLY,
    [REASON_BAD_IDENTITY] = 1 << SITE_NAMELESS,
    [REASON_BAD_PROXY_HEADER] = NO_HEADER,
    [REASON_LIMIT_CONNECTIONS] = LIMITED | TIME,
    [REASON_LIMIT_HANDSHAKES] = ANY,
    [REASON_NO_BACKEND] = ANY,
    [REASON_ALERT_RECEIVED] = DISTRUSTS,
    [REASON_PROTOCOL_ERROR] = NO_TLS,
    [REASON_REVOKED] = 1 << SITE_REVOCABLE,
    [REASON_DRAINED] = DRAINING,
};

static unsigned facts_of_kind(const struct client *c) {
    static const unsigned facts[CLIENT_KINDS] = {
        [CLIENT_GARBAGE] = NO_TLS,       [CLIENT_PLAINTEXT] = NO_TLS,
        [CLIENT_BAD_HELLO] = NO_TLS,     [CLIENT_OLD] = OLD_TLS,
        [CLIENT_NO_CIPHER] = NO_CIPHER,  [CLIENT_DISTRUSTS] = DISTRUSTS,
        [CLIENT_NOT_MQTT] = NO_MQTT,     [CLIENT_SECOND_CONNECT] = NO_MQTT,
        [CLIENT_BAD_HEADER] = NO_HEADER, [CLIENT_FOREIGN_ID] = FOREIGN_ID,
    };
    return facts[c->kind];
}

/* A reload to SITE_SMALL leaves the plain listener with TLS 1.2 alone. */
static unsigned facts_of_site(const struct client *c) {
    bool old = c->listener == SITE_PLAIN && c->version == TLS1_3_VERSION;
    bool overtaken = c->offers_session && c->reloads != world.reloads;
    return ANY | (overtaken ? OVERTAKEN : 0u) |
           (site_wants_certificate(c->listener) ? 1u << c->cert : 0u) |
           (site_is_mqtt(c->listener) ? MQTT : 0u) | (c->listener == SITE_BALANCED ? LIMITED : 0u) |
           (world.pool.draining ? DRAINING : 0u) | (old ? OLD_TLS : 0u);
}

static unsigned facts_of_ends(const struct client *c) {
    const struct broker_end *b = c->broker;
    return (c->close_sent ? CLIENT_CLOSED : 0u) | (c->sock->in_fin ? CLIENT_FIN : 0u) |
           (c->sock->reset ? CLIENT_DEAD : 0u) | (c->damaged ? CLIENT_DAMAGED : 0u) |
           (c->updates ? CLIENT_UPDATES : 0u) | (b != NULL && b->fin_sent ? BROKER_FIN : 0u) |
           (b != NULL && b->sock->reset ? BROKER_DEAD : 0u) |
           (b != NULL && c->down.head[3] != 0 ? LOGIN_REFUSED : 0u);
}

void causes_check(const struct client *c, enum reason reason, uint64_t age_ms) {
    unsigned facts =
        facts_of_kind(c) | facts_of_site(c) | facts_of_ends(c) | (age_ms >= 1000 ? TIME : 0u);
    bool excused = c->damaged || sim_troubles() != world.troubles_before;
    NEED(excused || (facts & causes[reason]) != 0,
         "client %u of kind %d, TLS %x, certificate %d, listener %zu: %s without cause", c->id,
         c->kind, (unsigned)c->version, c->cert, c->listener, reason_name(reason));
}
