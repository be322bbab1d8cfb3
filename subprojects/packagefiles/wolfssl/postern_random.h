/* The nonce of a signature, which must differ for different messages whatever the kernel's random
 * bytes are (postern_ecc.c). */
#ifndef POSTERN_RANDOM_H
#define POSTERN_RANDOM_H

/* Until postern_random_end_nonce, the random bytes that this thread asks for are derived from the
 * private key, the message and 32 random bytes that are used for nothing else. Neither may be
 * longer than 66 bytes (a key of P-521, a SHA-512 hash). The thread does nothing else in between.
 * 0, or -1 without randomness or with a length out of range. */
int postern_random_begin_nonce(const unsigned char *key, unsigned key_len,
                               const unsigned char *message, unsigned message_len);

/* Wipes what is left; without a begin it does nothing. */
void postern_random_end_nonce(void);

#endif
