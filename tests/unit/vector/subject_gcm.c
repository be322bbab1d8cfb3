#include "subject.h"

#include <vector/gcm.h>
#include <vector/kernels.h>

/* Two groups, then a rest with a part of a block. */
enum { TEXT = 1100, ROUNDS = 14, AAD = 13 };

static unsigned char round_keys[(ROUNDS + 1) * POSTERN_GCM_BLOCK], nonce[POSTERN_GCM_NONCE];
static unsigned char aad[AAD], text[TEXT], out[TEXT + POSTERN_GCM_BLOCK];

static void prepare(unsigned number) {
    subject_fill(round_keys, sizeof round_keys, number);
    subject_fill(nonce, sizeof nonce, number);
    subject_fill(aad, sizeof aad, number);
    subject_fill(text, sizeof text, number);
}

static void run(void) {
    struct postern_gcm gcm = {round_keys, ROUNDS, nonce, aad, AAD};
    postern_gcm_encrypt(&gcm, text, out, TEXT, out + TEXT);
    postern_gcm_decrypt(&gcm, out, out, TEXT, out + TEXT);
}

const struct subject subject = {
    "gcm",
    POSTERN_KERNEL_GCM,
    postern_gcm_self_test,
    prepare,
    run,
    {{round_keys, sizeof round_keys}, {nonce, sizeof nonce}, {aad, AAD}, {text, TEXT}, {NULL, 0}},
    {out, sizeof out},
    0,
};
