/* Cipher suites of TLS 1.2 by the key that signs for the server in them. */
#ifndef POSTERN_WIRE_SUITES_H
#define POSTERN_WIRE_SUITES_H

#include <stdbool.h>
#include <stdint.h>

/* Which kinds a list has: signed by ECDSA or RSA, with authenticated encryption (AEAD) or other. */
struct suite_kinds {
    bool ecdsa_aead, ecdsa_other, rsa_aead, rsa_other;
};

/* Notes one suite of the client's list; those without ECDHE, and unknown ones, change nothing. */
void suite_kinds_note(struct suite_kinds *kinds, uint16_t suite);

#endif
