#include "subject.h"

#include <postern_pause.h>
#include <vector/kernels.h>
#include <vector/rsa_blinding.h>

#include "user_settings.h"

static struct postern_rsa_key key;
static uint64_t n[2 * POSTERN_RSA_WORDS]; /* public; need not be pq here */
static unsigned char in[POSTERN_RSA_BYTES], out[POSTERN_RSA_BYTES];

/* In place of the library's: the blinding is a secret too. */
int postern_random(unsigned char *at, unsigned int len) {
    subject_fill(at, len, 2);
    subject_mark_secret(at, len);
    return 0;
}

/* The exponentiation pauses after every eight of its 256 windows, the last time after the last. */
enum { PAUSES = 32, BEGINNING = 220000 };

static unsigned pauses;

static void on_pause(void *arg) {
    if (++pauses == PAUSES) {
        subject_follow();
    }
}

static void make_modulus(uint64_t *words, size_t count, unsigned number) {
    subject_fill(words, count * sizeof *words, number);
    words[0] |= 1;
    words[count - 1] |= UINT64_C(1) << 63;
}

static void prepare(unsigned number) {
    if (n[0] == 0) {
        make_modulus(n, 2 * POSTERN_RSA_WORDS, 2);
    }
    make_modulus(key.p, POSTERN_RSA_WORDS, number);
    make_modulus(key.q, POSTERN_RSA_WORDS, number);
    subject_fill(key.dp, sizeof key.dp, number);
    subject_fill(key.dq, sizeof key.dq, number);
    subject_fill(key.qinv, sizeof key.qinv, number);
    subject_fill(in, sizeof in, number);
}

static void run(void) {
    pauses = 0;
    postern_pause.call = on_pause;
    if (!postern_rsa_private_blinded(&key, n, in, out)) {
        __builtin_trap();
    }
    postern_pause.call = NULL;
}

const struct subject subject = {
    "rsa",
    POSTERN_KERNEL_RSA,
    postern_rsa_self_test,
    prepare,
    run,
    {{&key, sizeof key}, {in, sizeof in}, {NULL, 0}},
    {out, sizeof out},
    BEGINNING,
};
