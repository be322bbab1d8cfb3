/* client_allow: a file that lists the clients which may come in.
 *
 * One entry a line; empty lines and lines that begin with # mean nothing:
 *   name:X                        the name that `identity` reads in a certificate of client_ca
 *   cert-sha256:HEX [IDENTITY]    one certificate, by the SHA-256 of its DER
 *   key-sha256:HEX [IDENTITY]     one key, by the SHA-256 of its SubjectPublicKeyInfo (as RFC 7469)
 * HEX is 64 digits in either case, or 32 pairs with colons between, as openssl prints them.
 * IDENTITY is the rest of the line, and the client's name from then on; X and IDENTITY keep to the
 * rules of identity.h.
 *
 * A list is loaded whole or not at all, and immutable then. To find an entry takes some twenty
 * comparisons among 100,000, and no allocation. */
#ifndef POSTERN_TLS_ALLOW_LIST_H
#define POSTERN_TLS_ALLOW_LIST_H

#include "core/error.h"
#include "tls/der.h"
#include "tls/types.h"

#include <stdbool.h>

enum { ALLOW_HASH_SIZE = 32, ALLOW_LINE_MAX = 1024 };

struct allow_list;

/* Reads the file. Where `names` is false, as there is no client_ca that vouches for a name, name:
 * entries are refused. NULL with the reason in `err`, "FILE:LINE: what is wrong; what would be
 * right": a line that is none of these, longer than ALLOW_LINE_MAX bytes or with a NUL, HEX of
 * another length, a name that identity.h refuses, an entry given twice. Or "FILE: ...": no entry at
 * all, a file that cannot be read or is not a regular one, no memory. */
struct allow_list *allow_list_read(const char *file, bool names, struct error *err)
    __attribute__((warn_unused_result));
/* The same of a text that was read already; `file` stands in messages. */
struct allow_list *allow_list_parse(struct span text, const char *file, bool names,
                                    struct error *err) __attribute__((warn_unused_result));
void allow_list_free(struct allow_list *list); /* NULL is fine */

struct tls_allow_counts allow_list_counts(const struct allow_list *list);

/* What a client is looked up by. */
struct allow_subject {
    const uint8_t *cert_hash, *key_hash; /* NULL: not known */
    size_t hash_size;                    /* of both: 32, or fewer where only their front is known */
    const char *name;                    /* NULL: it has none */
};

/* What the entry gives a client. The strings belong to the list. */
struct allow_entry_view {
    const char *identity; /* NULL: none */
    const uint8_t *hash;  /* HEX, 32 bytes; NULL: it is a name: entry */
};

/* The entry of this client: by its certificate, else by its key, else by its name. False if it has
 * none. */
bool allow_list_find(const struct allow_list *list, const struct allow_subject *subject,
                     struct allow_entry_view *entry);

#endif
