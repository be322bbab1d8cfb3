/* psk_file: pre-shared keys of devices, each under the identity that its device names.
 *
 * One entry a line, IDENTITY:KEY, as in Mosquitto's psk_file; empty lines and lines that begin with
 * # mean nothing. IDENTITY is 1 to 128 bytes of UTF-8 (RFC 4279 5.1 and 5.3), which a colon or a
 * blank neither begins nor ends; the first colon of the line ends it. KEY is 32 to 128 hexadecimal
 * digits: 16 bytes at least, since everybody who records a handshake can try short keys (RFC
 * 9257 4.2), and 64 at most (RFC 4279 5.3).
 *
 * A list is loaded whole or not at all, and immutable then. Its keys are in memory of
 * core/secret.h, and wiped when it is freed. */
#ifndef POSTERN_TLS_PSK_LIST_H
#define POSTERN_TLS_PSK_LIST_H

#include "core/error.h"
#include "tls/der.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PSK_IDENTITY_MAX = 128, PSK_KEY_MIN = 16, PSK_KEY_MAX = 64, PSK_MARK_SIZE = 16 };

struct psk_list;

/* Reads the file, and logs a warning if everyone can, and where its keys could not be locked in
 * memory. Where `names` is true, the broker is told
 * identities as names, so one that identity.h refuses is refused here. NULL with the reason in
 * `err`, "FILE:LINE: what is wrong; what would be right", without a digit of a key: a line that is
 * no entry, an identity or a key that is too short or too long, an identity given twice. Or "FILE:
 * ...": no entry at all, a file that cannot be read or is not a regular one, no memory. */
struct psk_list *psk_list_read(const char *file, bool names, struct error *err)
    __attribute__((warn_unused_result));
/* The same of a text that was read already; `file` stands in messages. */
struct psk_list *psk_list_parse(struct span text, const char *file, bool names, struct error *err)
    __attribute__((warn_unused_result));
void psk_list_free(struct psk_list *list); /* NULL is fine */

size_t psk_list_count(const struct psk_list *list);

/* What a look-up yields. The caller wipes it. */
struct psk_found {
    bool known;
    uint8_t key_len;
    uint8_t key[PSK_KEY_MAX];    /* if it is not known, a key that nobody has */
    uint8_t mark[PSK_MARK_SIZE]; /* of a known key: differs from that of others, reveals nothing of
                                    it */
};

/* Looks an identity up, which may be any bytes. It takes the same steps whether it is known or not,
 * and the keys that it makes up have the lengths of those in the list. Allocates nothing. False if
 * the TLS library fails. */
bool psk_list_find(const struct psk_list *list, struct span identity, struct psk_found *found)
    __attribute__((warn_unused_result));

/* Whether the list has the identity, with the key that had this mark. */
bool psk_list_has(const struct psk_list *list, const char *identity,
                  const uint8_t mark[PSK_MARK_SIZE]);

#endif
