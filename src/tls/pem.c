#include "tls/pem.h"
#include "core/closed_folder.h"
#include "tls/wolfssl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <wolfssl/wolfcrypt/coding.h>

enum { FILE_MAX = 64 << 20 };

int file_read(struct buf *out, const char *file, bool *world_readable, struct error *err) {
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return closed_folder_explain(file, "cannot open", errno, err);
    }
    struct stat st;
    int result = -1;
    ssize_t got;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, "%s: is not a regular file", file);
        goto done;
    }
    *world_readable = (st.st_mode & S_IROTH) != 0;
    do {
        if (!buf_reserve(out, 16384, FILE_MAX)) {
            error_set(err, "%s: is larger than %d bytes, or there is no memory", file, FILE_MAX);
            goto done;
        }
        got = read(fd, out->data + out->len, 16384);
        if (got > 0) {
            out->len += (size_t)got;
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0) {
        error_set(err, "%s: cannot read: %s", file, strerror(errno));
    } else {
        result = 0;
    }
done:
    close(fd);
    return result;
}

void file_wipe(struct buf *b) {
    buf_wipe(b);
}

/* The first occurrence of `what` in [at, end). */
static const char *find(const char *at, const char *end, const char *what) {
    return at < end ? memmem(at, (size_t)(end - at), what, strlen(what)) : NULL;
}

/* Copies base64 without its line ends and other blanks, wherever they are: the alphabet, then at
 * most two '='. False for anything else, or without memory. The library would treat a NUL or the
 * first '=' as the end, and read a damaged file as a shorter one; and of the blanks it knows only
 * some. */
static bool copy_base64(struct buf *out, const char *from, const char *to) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                      blanks[] = " \t\n\v\f\r";
    unsigned padding = 0;
    if (!buf_reserve(out, (size_t)(to - from) + 1, SIZE_MAX)) {
        return false;
    }
    for (const char *p = from; p < to; p++) {
        if (memchr(blanks, *p, sizeof blanks - 1) != NULL) {
            continue;
        }
        if (*p == '=') {
            padding++;
        } else if (padding > 0 || memchr(alphabet, *p, sizeof alphabet - 1) == NULL) {
            return false;
        }
        out->data[out->len++] = (uint8_t)*p;
    }
    return padding <= 2;
}

static bool decode_base64(struct buf *out, const struct buf *text) {
    if (text->len > UINT32_MAX / 2 || !buf_reserve(out, text->len / 4 * 3 + 4, SIZE_MAX)) {
        return false;
    }
    word32 len = (word32)out->cap;
    if (Base64_Decode(text->data, (word32)text->len, out->data, &len) != 0) {
        return false;
    }
    out->len = len;
    return len > 0;
}

/* Base64 between `from` and `to`; header lines (RFC 1421, before a blank line) are not decoded. */
static int decode(struct pem_block *block, const char *from, const char *to) {
    struct buf text = {0};
    if (memchr(from, ':', (size_t)(to - from)) != NULL) {
        return 0; /* encrypted in the old way: pem_is_encrypted reports it, and the bytes are not
                     needed */
    }
    bool decoded = copy_base64(&text, from, to) && decode_base64(&block->der, &text);
    file_wipe(&text);
    return decoded ? 0 : -1;
}

static int add_block(struct pem *pem, const char *begin, const char *label, size_t label_len,
                     const char *body, const char *end_line, const char *after) {
    struct pem_block *more = realloc(pem->blocks, (pem->count + 1) * sizeof *more);
    if (more == NULL) {
        return -1;
    }
    pem->blocks = more;
    struct pem_block *block = &pem->blocks[pem->count++];
    memset(block, 0, sizeof *block);
    memcpy(block->label, label, label_len);
    block->text = (struct span){(const uint8_t *)begin, (size_t)(after - begin)};
    return decode(block, body, end_line);
}

/* At most 47 bytes in one line, whose end may be LF or CR. */
static bool is_label(const char *from, const char *to) {
    size_t len = (size_t)(to - from);
    return len < sizeof((struct pem_block *)0)->label && memchr(from, '\n', len) == NULL &&
           memchr(from, '\r', len) == NULL;
}

static int split(struct pem *pem, const char *file, struct error *err) {
    const char *at = (const char *)pem->file.data, *end = at + pem->file.len;
    static const char begin_mark[] = "-----BEGIN ", dashes[] = "-----";
    const char *begin;
    while ((begin = find(at, end, begin_mark)) != NULL) {
        const char *label = begin + sizeof begin_mark - 1;
        const char *label_end = find(label, end, dashes);
        if (label_end == NULL || !is_label(label, label_end)) {
            return error_set(err, "%s: a BEGIN line is damaged", file);
        }
        int label_len = (int)(label_end - label);
        char end_mark[80];
        snprintf(end_mark, sizeof end_mark, "-----END %.*s-----", label_len, label);
        const char *body = label_end + sizeof dashes - 1;
        const char *end_line = find(body, end, end_mark);
        const char *next = find(body, end, begin_mark);
        if (end_line == NULL || (next != NULL && next < end_line)) {
            return error_set(err,
                             "%s: \"-----BEGIN %.*s-----\" has no matching END line; the file "
                             "is cut short or damaged",
                             file, label_len, label);
        }
        at = end_line + strlen(end_mark);
        if (add_block(pem, begin, label, (size_t)label_len, body, end_line, at) != 0) {
            return error_set(err,
                             "%s: what stands between \"-----BEGIN %.*s-----\" and its END is "
                             "not base64",
                             file, label_len, label);
        }
    }
    return 0;
}

int pem_parse(struct pem *pem, struct buf *bytes, const char *name, struct error *err) {
    memset(pem, 0, sizeof *pem);
    pem->file = *bytes;
    *bytes = (struct buf){0};
    if (split(pem, name, err) == 0) {
        return 0;
    }
    pem_free(pem);
    return -1;
}

int pem_read(struct pem *pem, const char *file, struct error *err) {
    struct buf bytes = {0};
    bool world_readable = false;
    memset(pem, 0, sizeof *pem);
    if (file_read(&bytes, file, &world_readable, err) != 0) {
        file_wipe(&bytes);
        return -1;
    }
    if (pem_parse(pem, &bytes, file, err) != 0) {
        return -1;
    }
    pem->world_readable = world_readable;
    return 0;
}

bool pem_write(struct buf *out, const char *label, struct span der) {
    char begin[80], end[80];
    size_t begin_len = (size_t)snprintf(begin, sizeof begin, "-----BEGIN %s-----\n", label);
    size_t end_len = (size_t)snprintf(end, sizeof end, "-----END %s-----\n", label);
    size_t body = der.len / 3 * 4 + der.len / 32 + 16; /* four for three, and line ends */
    if (der.len > UINT32_MAX / 2 || !buf_reserve(out, begin_len + body + end_len, SIZE_MAX) ||
        !buf_append(out, begin, begin_len, SIZE_MAX)) {
        return false;
    }
    word32 written = (word32)body;
    if (Base64_Encode(der.data, (word32)der.len, out->data + out->len, &written) != 0) {
        return false;
    }
    out->len += written;
    return buf_append(out, end, end_len, SIZE_MAX);
}

void pem_free(struct pem *pem) {
    for (size_t i = 0; i < pem->count; i++) {
        file_wipe(&pem->blocks[i].der);
    }
    free(pem->blocks);
    file_wipe(&pem->file);
    memset(pem, 0, sizeof *pem);
}

static bool is_trusted_certificate(const struct pem_block *block) {
    return strcmp(block->label, "TRUSTED CERTIFICATE") == 0;
}

bool pem_is_certificate(const struct pem_block *block) {
    return strcmp(block->label, "CERTIFICATE") == 0 ||
           strcmp(block->label, "X509 CERTIFICATE") == 0 || is_trusted_certificate(block);
}

struct span pem_certificate(const struct pem_block *block, struct span *trust) {
    struct span rest = {block->der.data, block->der.len}, all = rest, whole;
    *trust = (struct span){0};
    if (!is_trusted_certificate(block) || !der_take_whole(&rest, DER_SEQUENCE, &whole)) {
        return all;
    }
    *trust = rest;
    return whole;
}

bool pem_is_crl(const struct pem_block *block) {
    return strcmp(block->label, "X509 CRL") == 0;
}

bool pem_is_key(const struct pem_block *block) {
    size_t len = strlen(block->label), suffix = strlen("PRIVATE KEY");
    return len >= suffix && strcmp(block->label + len - suffix, "PRIVATE KEY") == 0;
}

bool pem_is_encrypted(const struct pem_block *block) {
    return strcmp(block->label, "ENCRYPTED PRIVATE KEY") == 0 ||
           memmem(block->text.data, block->text.len, "ENCRYPTED", 9) != NULL;
}
