/* The buffers of a connection are private to the library. */
#include "postern_relay.h"

#include <wolfssl/internal.h>

void postern_relay_begin(struct WOLFSSL *ssl) {
    wolfSSL_FreeSession(ssl->ctx, ssl->session);
    ssl->session = NULL;
}

/* A buffer that the library has allocated is dynamic, and stays. */
void postern_relay_lend(struct WOLFSSL *ssl, unsigned char *room, unsigned int size) {
    bufferStatic *out = &ssl->buffers.outputBuffer;
    if (!out->dynamicFlag && out->length == 0) {
        out->buffer = room;
        out->bufferSize = size;
        out->idx = 0;
    }
}

/* The library adds what was sent to `idx` afterwards, and sets that to 0 when nothing is left. */
void postern_relay_sent(struct WOLFSSL *ssl, unsigned int size) {
    bufferStatic *out = &ssl->buffers.outputBuffer;
    out->buffer += size;
    out->bufferSize -= size;
}

/* Something is left only if the connection has failed. */
void postern_relay_return(struct WOLFSSL *ssl) {
    bufferStatic *out = &ssl->buffers.outputBuffer;
    if (!out->dynamicFlag) {
        out->buffer = out->staticBuffer;
        out->bufferSize = STATIC_BUFFER_LEN;
        out->idx = 0;
        out->length = 0;
    }
}

/* The library adds the header's size to `length` afterwards. */
int postern_relay_lend_record(struct WOLFSSL *ssl, unsigned char *record, unsigned int len) {
    bufferStatic *in = &ssl->buffers.inputBuffer;
    if (in->dynamicFlag || in->length != 0) {
        return 0;
    }
    in->buffer = record;
    in->bufferSize = len;
    in->length = len - RECORD_HEADER_SZ;
    return 1;
}

static int is_lent(const bufferStatic *in) {
    return !in->dynamicFlag && in->buffer != in->staticBuffer;
}

unsigned char *postern_relay_own_input(struct WOLFSSL *ssl, unsigned char *buf) {
    if (!is_lent(&ssl->buffers.inputBuffer)) {
        return buf;
    }
    postern_relay_take_back(ssl);
    return ssl->buffers.inputBuffer.buffer;
}

/* Something is left only if the connection has failed. */
void postern_relay_take_back(struct WOLFSSL *ssl) {
    bufferStatic *in = &ssl->buffers.inputBuffer;
    if (is_lent(in)) {
        in->buffer = in->staticBuffer;
        in->bufferSize = STATIC_BUFFER_LEN;
        in->idx = 0;
        in->length = 0;
    }
}
