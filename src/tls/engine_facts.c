/* What an engine can be asked (engine.h). */
#include "tls/ciphers.h"
#include "tls/client.h"
#include "tls/engine.h"
#include "tls/internal.h"

enum reason engine_failure(const struct engine *e) {
    return e->failure;
}

const char *engine_failure_detail(const struct engine *e) {
    return e->peer != NULL && e->peer->has_detail && e->failure == e->peer->refusal ? e->peer->text
                                                                                    : NULL;
}

uint8_t engine_alert(const struct engine *e) {
    return e->alert;
}

const char *engine_version(const struct engine *e) {
    return wolfSSL_version(e->ssl) == TLS1_3_VERSION ? "1.3" : "1.2";
}

const char *engine_cipher(const struct engine *e) {
    return ciphers_name(wolfSSL_get_cipher_name(e->ssl));
}

const char *engine_group(const struct engine *e) {
    return groups_name(e->group);
}

bool engine_is_resumed(const struct engine *e) {
    return e->resumed;
}

const char *engine_identity(const struct engine *e) {
    return e->peer != NULL && e->peer->has_identity ? e->peer->text : NULL;
}

bool engine_peer_presented(const struct engine *e) {
    return e->peer != NULL && e->peer->presented;
}

bool engine_is_revoked(const struct engine *e, struct tls_context *by) {
    bool known = engine_peer_id(e) != NULL || engine_has_psk(e);
    if (!known || !tls_context_enter(by)) {
        return false;
    }
    bool revoked = by->clients != NULL ? clients_recheck(by->clients, e->peer) != REASON_NONE
                                       : engine_has_psk(e);
    tls_context_leave(by);
    return revoked;
}

bool engine_has_psk(const struct engine *e) {
    return e->peer != NULL && e->peer->psk;
}

const struct cert_id *engine_peer_id(const struct engine *e) {
    return e->peer != NULL && e->peer->id.serial_len > 0 ? &e->peer->id : NULL;
}
