#include "tls/certificate.h"
#include "core/log.h"
#include "tls/pem.h"
#include "tls/x509_name.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>

enum { CHAIN_MAX = 9, NAMES_TEXT_MAX = 4096 };

/* The certificates of a section in the order they will be sent. */
struct chain {
    struct x509 certs[CHAIN_MAX];
    const struct pem_block *blocks[CHAIN_MAX];
    const char *files[CHAIN_MAX];
    size_t count;
};

static int chain_add(struct chain *chain, const struct pem_block *block, const char *file,
                     struct error *err) {
    struct span der = {block->der.data, block->der.len};
    for (size_t i = 0; i < chain->count; i++) {
        const struct buf *have = &chain->blocks[i]->der;
        if (span_equal(der, (struct span){have->data, have->len})) {
            return 0; /* a full chain as certificate, and the chain named as well */
        }
    }
    if (chain->count == CHAIN_MAX) {
        return error_set(err, "%s: more than %d certificates", file, CHAIN_MAX);
    }
    if (!x509_read(&chain->certs[chain->count], der.data, der.len)) {
        return error_set(err, "%s: certificate %zu is damaged", file, chain->count + 1);
    }
    chain->blocks[chain->count] = block;
    chain->files[chain->count] = file;
    chain->count++;
    return 0;
}

static int chain_collect(struct chain *chain, const struct pem *pem, const char *file,
                         struct error *err) {
    size_t found = 0;
    for (size_t i = 0; i < pem->count; i++) {
        if (!pem_is_certificate(&pem->blocks[i])) {
            continue;
        }
        found++;
        if (chain_add(chain, &pem->blocks[i], file, err) != 0) {
            return -1;
        }
    }
    if (found == 0) {
        return error_set(err, "%s: holds no certificate (\"-----BEGIN CERTIFICATE-----\")", file);
    }
    return 0;
}

/* Each certificate must be issued by the next one. A root at the end is correct but useless to
 * send: a client that trusts it has it already. */
static int chain_check_order(struct chain *chain, struct error *err) {
    for (size_t i = 1; i < chain->count; i++) {
        if (span_equal(chain->certs[i - 1].issuer, chain->certs[i].subject)) {
            continue;
        }
        char before[120], issuer[120], found[120];
        x509_name_text(chain->certs[i - 1].subject, before, sizeof before);
        x509_name_text(chain->certs[i - 1].issuer, issuer, sizeof issuer);
        x509_name_text(chain->certs[i].subject, found, sizeof found);
        return error_set(err,
                         "%s: the chain is in the wrong order: \"%s\" must be followed by its "
                         "issuer \"%s\", but \"%s\" comes next; the right order is the server's "
                         "certificate first, then each one's issuer",
                         chain->files[i], before, issuer, found);
    }
    const struct x509 *last = &chain->certs[chain->count - 1];
    if (chain->count > 1 && span_equal(last->issuer, last->subject)) {
        chain->count--;
    }
    return 0;
}

static int check_leaf(const struct chain *chain, struct error *err) {
    const struct x509 *leaf = &chain->certs[0];
    char subject[160];
    x509_name_text(leaf->subject, subject, sizeof subject);
    if (leaf->key == X509_KEY_OTHER || leaf->key == X509_KEY_P521 ||
        leaf->key == X509_KEY_ED25519) {
        return error_set(err,
                         "%s: \"%s\" has a key of a kind that is not supported; use RSA, "
                         "ECDSA P-256 or ECDSA P-384",
                         chain->files[0], subject);
    }
    if (leaf->key == X509_KEY_RSA && (leaf->key_bits < 2048 || leaf->key_bits > 4096)) {
        return error_set(err, "%s: \"%s\" has an RSA key of %u bits; use 2048 to 4096",
                         chain->files[0], subject, leaf->key_bits);
    }
    return 0;
}

static const struct pem_block *find_key(const struct pem *pem, const char *file,
                                        struct error *err) {
    const struct pem_block *key = NULL;
    for (size_t i = 0; i < pem->count; i++) {
        if (!pem_is_key(&pem->blocks[i])) {
            continue;
        }
        if (key != NULL) {
            error_set(err, "%s: holds more than one private key", file);
            return NULL;
        }
        key = &pem->blocks[i];
    }
    if (key == NULL) {
        error_set(err, "%s: holds no private key (\"-----BEGIN PRIVATE KEY-----\")%s", file,
                  pem->count > 0 && pem_is_certificate(&pem->blocks[0]) ? "; it is a certificate"
                                                                        : "");
    } else if (pem_is_encrypted(key)) {
        error_set(err,
                  "%s: the private key is encrypted; store it without a pass phrase "
                  "(openssl pkey -in OLD -out NEW) and protect the file instead",
                  file);
        return NULL;
    }
    return key;
}

static bool key_is_sound(const struct pem_block *key) {
    WOLFSSL_CTX *empty = wolfSSL_CTX_new(wolfSSLv23_server_method());
    bool sound = empty != NULL &&
                 wolfSSL_CTX_use_PrivateKey_buffer(empty, key->text.data, (long)key->text.len,
                                                   WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
    wolfSSL_CTX_free(empty);
    return sound;
}

static bool rsa_fits(const struct x509 *cert, const uint8_t *der, word32 at, word32 len) {
    RsaKey key;
    uint8_t e[8], n[512];
    word32 e_len = sizeof e, n_len = sizeof n;
    if (wc_InitRsaKey(&key, NULL) != 0) {
        return false;
    }
    bool fits = wc_RsaPrivateKeyDecode(der, &at, &key, len) == 0 &&
                wc_RsaFlattenPublicKey(&key, e, &e_len, n, &n_len) == 0 &&
                span_equal(cert->public_key, (struct span){n, n_len});
    wc_FreeRsaKey(&key);
    return fits;
}

static bool ecc_fits(const struct x509 *cert, const uint8_t *der, word32 at, word32 len) {
    ecc_key key;
    uint8_t point[1 + 2 * 48];
    word32 point_len = sizeof point;
    if (wc_ecc_init(&key) != 0) {
        return false;
    }
    bool fits = wc_EccPrivateKeyDecode(der, &at, &key, len) == 0 &&
                wc_ecc_make_pub(&key, NULL) == 0 &&
                wc_ecc_export_x963(&key, point, &point_len) == 0 &&
                span_equal(cert->public_key, (struct span){point, point_len});
    wc_ecc_free(&key);
    return fits;
}

/* The library's own check does not compare the keys in every version. */
static bool key_fits(const struct x509 *cert, const struct pem_block *key) {
    const uint8_t *der = key->der.data;
    word32 len = (word32)key->der.len, at = 0;
    if (strcmp(key->label, "PRIVATE KEY") == 0 &&
        wc_GetPkcs8TraditionalOffset(key->der.data, &at, len) < 0) {
        return false;
    }
    return cert->key == X509_KEY_RSA ? rsa_fits(cert, der, at, len) : ecc_fits(cert, der, at, len);
}

/* A single block is passed on: the library cannot read a key that follows EC PARAMETERS. */
static int use_key(struct tls_certificate *certificate, const struct x509 *leaf,
                   const struct pem_block *key, const struct config_certificate *section,
                   const char *subject, struct error *err) {
    if (!key_is_sound(key)) {
        return error_set(err,
                         "%s: the private key is damaged, or of a kind that is not supported; "
                         "use RSA, ECDSA P-256 or ECDSA P-384",
                         section->key);
    }
    if (!key_fits(leaf, key) ||
        wolfSSL_CTX_use_PrivateKey_buffer(certificate->ssl_ctx, key->text.data, (long)key->text.len,
                                          WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_check_private_key(certificate->ssl_ctx) != WOLFSSL_SUCCESS) {
        return error_set(err, "%s: the key does not belong to the certificate of \"%s\" (%s) in %s",
                         section->key, subject, certificate->info.key_type, section->cert);
    }
    return 0;
}

/* Hands everything to the library, as PEM, leaf first. */
static int use_files(struct tls_certificate *certificate, const struct chain *chain,
                     const struct pem_block *key, const struct config_certificate *section,
                     struct error *err) {
    char subject[160];
    struct buf text = {0};
    bool fits = true;
    x509_name_text(chain->certs[0].subject, subject, sizeof subject);
    for (size_t i = 0; i < chain->count; i++) {
        fits =
            fits &&
            buf_append(&text, chain->blocks[i]->text.data, chain->blocks[i]->text.len, SIZE_MAX) &&
            buf_append(&text, "\n", 1, SIZE_MAX);
    }
    int used = fits ? wolfSSL_CTX_use_certificate_chain_buffer(certificate->ssl_ctx, text.data,
                                                               (long)text.len)
                    : 0;
    buf_free(&text);
    if (used != WOLFSSL_SUCCESS) {
        return error_set(err,
                         "%s: the TLS library does not accept the certificate of \"%s\" or its "
                         "chain (code %d)",
                         section->cert, subject, used);
    }
    return use_key(certificate, &chain->certs[0], key, section, subject, err);
}

static const char *date_text(int64_t at, char out[32]) {
    struct tm tm;
    time_t t = (time_t)at;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        snprintf(out, 32, "?");
    }
    return out;
}

static void warn(const struct chain *chain, const struct pem *key,
                 const struct config_certificate *section) {
    int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < chain->count; i++) {
        char subject[160], date[32];
        x509_name_text(chain->certs[i].subject, subject, sizeof subject);
        if (now > chain->certs[i].not_after) {
            log_message(LOG_LEVEL_WARNING, "certificate expired", "%s: \"%s\" expired on %s",
                        chain->files[i], subject, date_text(chain->certs[i].not_after, date));
        } else if (now < chain->certs[i].not_before) {
            log_message(LOG_LEVEL_WARNING, "certificate not yet valid",
                        "%s: \"%s\" is valid from %s; is the clock right?", chain->files[i],
                        subject, date_text(chain->certs[i].not_before, date));
        }
    }
    if (key->world_readable) {
        log_message(LOG_LEVEL_WARNING, "key readable",
                    "%s: everyone can read this private key; chmod 0640 or 0600", section->key);
    }
}

static bool add_name(struct tls_certificate *certificate, struct span name) {
    if (name.len == 0 || name.len > 255 || memchr(name.data, 0, name.len) != NULL) {
        return true;
    }
    char **more = realloc(certificate->names, (certificate->name_count + 1) * sizeof *more);
    if (more == NULL) {
        return false;
    }
    certificate->names = more;
    char *copy = strndup((const char *)name.data, name.len);
    if (copy == NULL) {
        return false;
    }
    for (char *c = copy; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    certificate->names[certificate->name_count++] = copy;
    return true;
}

static void append_text(char *text, size_t cap, struct span value) {
    size_t len = strlen(text);
    snprintf(text + len, cap - len, "%s%.*s", len ? ", " : "", (int)value.len,
             (const char *)value.data);
}

static void append_ip(char *text, size_t cap, struct span value) {
    char ip[INET6_ADDRSTRLEN] = "?";
    inet_ntop(value.len == 4 ? AF_INET : AF_INET6, value.data, ip, sizeof ip);
    append_text(text, cap, (struct span){(const uint8_t *)ip, strlen(ip)});
}

/* DNS names of the extension; without the extension, the common name. */
static bool read_names(struct tls_certificate *certificate, const struct x509 *leaf, char *text) {
    struct span rest = leaf->alt_names, value;
    unsigned type;
    uint8_t tag;
    text[0] = '\0';
    while (x509_next_alt_name(&rest, &type, &value)) {
        if (type == X509_ALT_DNS) {
            if (!add_name(certificate, value)) {
                return false;
            }
            append_text(text, NAMES_TEXT_MAX, value);
        } else if (type == X509_ALT_IP && (value.len == 4 || value.len == 16)) {
            append_ip(text, NAMES_TEXT_MAX, value);
        }
    }
    if (leaf->alt_names.data == NULL && x509_common_name(leaf->subject, &value, &tag) > 0) {
        append_text(text, NAMES_TEXT_MAX, value);
        return add_name(certificate, value);
    }
    return true;
}

static const char *serial_text(struct span serial) {
    char *text = malloc(serial.len * 2 + 1);
    for (size_t i = 0; text != NULL && i < serial.len; i++) {
        snprintf(text + 2 * i, 3, "%02X", serial.data[i]);
    }
    return text;
}

static bool describe(struct tls_certificate *certificate, const struct x509 *leaf,
                     const struct config_certificate *section) {
    char names[NAMES_TEXT_MAX], subject[256], key[24];
    if (!read_names(certificate, leaf, names)) {
        return false;
    }
    x509_name_text(leaf->subject, subject, sizeof subject);
    snprintf(key, sizeof key, leaf->key == X509_KEY_RSA ? "RSA %u" : "ECDSA P-%u", leaf->key_bits);
    certificate->key = leaf->key;
    certificate->info = (struct tls_certificate_info){
        .section = strdup(section->name),
        .file = strdup(section->cert),
        .subject = strdup(subject),
        .names = strdup(names),
        .key_type = strdup(key),
        .serial = serial_text(leaf->serial),
        .not_before = leaf->not_before,
        .not_after = leaf->not_after,
    };
    return certificate->info.section != NULL && certificate->info.file != NULL &&
           certificate->info.subject != NULL && certificate->info.names != NULL &&
           certificate->info.key_type != NULL && certificate->info.serial != NULL;
}

/* The method that speaks all versions still speaks 1.3 when a maximum is set, so each range has
 * its own. */
static WOLFSSL_METHOD *method_for(enum config_tls_version min, enum config_tls_version max) {
    if (max == CONFIG_TLS_1_2) {
        return wolfTLSv1_2_server_method();
    }
    return min == CONFIG_TLS_1_3 ? wolfTLSv1_3_server_method() : wolfSSLv23_server_method();
}

static int fill(struct tls_certificate *certificate, const struct config_certificate *section,
                enum config_tls_version min, enum config_tls_version max, const struct pem *cert,
                const struct pem *more, const struct pem *key_pem, struct error *err) {
    struct chain chain = {0};
    if (chain_collect(&chain, cert, section->cert, err) != 0 ||
        (section->chain != NULL && chain_collect(&chain, more, section->chain, err) != 0) ||
        chain_check_order(&chain, err) != 0 || check_leaf(&chain, err) != 0) {
        return -1;
    }
    const struct pem_block *key = find_key(key_pem, section->key, err);
    if (key == NULL) {
        return -1;
    }
    certificate->ssl_ctx = wolfSSL_CTX_new(method_for(min, max));
    if (certificate->ssl_ctx == NULL || !describe(certificate, &chain.certs[0], section)) {
        return error_set(err, "out of memory");
    }
    if (use_files(certificate, &chain, key, section, err) != 0) {
        return -1;
    }
    warn(&chain, key_pem, section);
    return 0;
}

int certificate_load(struct tls_certificate *certificate, const struct config_certificate *section,
                     enum config_tls_version min, enum config_tls_version max, struct error *err) {
    struct pem cert, more = {0}, key = {0};
    int result = -1;
    if (pem_read(&cert, section->cert, err) != 0) {
        return -1;
    }
    if ((section->chain == NULL || pem_read(&more, section->chain, err) == 0) &&
        pem_read(&key, section->key, err) == 0) {
        result = fill(certificate, section, min, max, &cert, &more, &key, err);
    }
    pem_free(&cert);
    pem_free(&more);
    pem_free(&key);
    return result;
}

void certificate_free(struct tls_certificate *certificate) {
    wolfSSL_CTX_free(certificate->ssl_ctx);
    for (size_t i = 0; i < certificate->name_count; i++) {
        free(certificate->names[i]);
    }
    free(certificate->names);
    free((char *)certificate->info.section);
    free((char *)certificate->info.file);
    free((char *)certificate->info.subject);
    free((char *)certificate->info.names);
    free((char *)certificate->info.key_type);
    free((char *)certificate->info.serial);
    memset(certificate, 0, sizeof *certificate);
}
