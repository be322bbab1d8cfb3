/* Files of certificates and keys: reading them whole, and taking PEM apart (RFC 7468). What is
 * around the base64 of a block and between its lines may be any blanks; lines may end with CR. */
#ifndef POSTERN_TLS_PEM_H
#define POSTERN_TLS_PEM_H

#include "core/buf.h"
#include "core/error.h"
#include "tls/der.h"

#include <stdbool.h>

/* Reads a whole file. 0, or -1 with the file's name and the reason in `err`. */
int file_read(struct buf *out, const char *file, bool *world_readable, struct error *err)
    __attribute__((warn_unused_result));
void file_wipe(struct buf *b); /* buf_free for secrets */

struct pem_block {
    char label[48];   /* "CERTIFICATE"; longer ones are refused */
    struct span text; /* the block's lines, BEGIN and END included; points into the file's bytes */
    struct buf der;
};

struct pem {
    struct buf file;
    struct pem_block *blocks;
    size_t count;
    bool world_readable;
};

/* Reads the file and all its blocks; text outside blocks is ignored, as everywhere. 0 or -1: `err`
 * then starts with the file's name. A file without any block is not an error here. Wiped by
 * pem_free. */
int pem_read(struct pem *pem, const char *file, struct error *err)
    __attribute__((warn_unused_result));

/* The same over bytes that were read already. They belong to `pem` from then on, even after a
 * failure, and `bytes` is empty; `name` stands for the file's name in `err`. */
int pem_parse(struct pem *pem, struct buf *bytes, const char *name, struct error *err)
    __attribute__((warn_unused_result));
void pem_free(struct pem *pem); /* zeroed is fine */

/* Appends a block in the form that every reader accepts. False without memory; `out` then holds a
 * part of it. It grows at most once, at the beginning: one that was empty leaves no copy behind. */
bool pem_write(struct buf *out, const char *label, struct span der)
    __attribute__((warn_unused_result));

/* Labels CERTIFICATE, X509 CERTIFICATE and TRUSTED CERTIFICATE. */
bool pem_is_certificate(const struct pem_block *block);
/* The certificate in such a block. `trust` is set to what OpenSSL appends to it in a TRUSTED
 * CERTIFICATE (x509_trusts_clients reads that); else it is empty. Both point into block->der. */
struct span pem_certificate(const struct pem_block *block, struct span *trust);
bool pem_is_crl(const struct pem_block *block);
bool pem_is_key(const struct pem_block *block); /* encrypted ones too */
bool pem_is_encrypted(const struct pem_block *block);

#endif
