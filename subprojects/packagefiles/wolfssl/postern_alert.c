/* What sends alerts is private to the library. */
#include "postern_alert.h"

#include <wolfssl/internal.h>

int postern_alert(struct WOLFSSL *ssl, int description) {
    if (ssl->alert_history.last_tx.level == alert_fatal) {
        return 0;
    }
    if (!IsEncryptionOn(ssl, 1)) {
        ssl->buffers.outputBuffer.length = 0;
        ssl->buffers.outputBuffer.idx = 0;
    } else if (ssl->buffers.outputBuffer.length > 0 && !IsAtLeastTLSv1_3(ssl->version)) {
        return -1;
    }
    return SendAlert(ssl, alert_fatal, description);
}
