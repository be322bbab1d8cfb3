#include "tls/certificate.h"
#include "core/log.h"
#include "core/secret.h"
#include "core/wipe.h"
#include "tls/chain.h"
#include "tls/pem.h"
#include "tls/private_key.h"
#include "tls/quirks.h"
#include "tls/x509_name.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAMES_TEXT_MAX = 4096 };

/* Which keys a server of ours may have; the others are for CAs, or for none. */
static int check_leaf(const struct chain *chain, struct error *err) {
    const struct x509 *leaf = &chain->certs[0].cert;
    const char *file = chain->certs[0].file;
    char subject[160];
    x509_name_text(leaf->subject, subject, sizeof subject);
    switch (leaf->key) {
    case X509_KEY_P256:
    case X509_KEY_P384:
        return 0;
    case X509_KEY_RSA:
        if (leaf->key_bits >= 2048 && leaf->key_bits <= 4096) {
            return 0;
        }
        return error_set(err, "%s: \"%s\" has an RSA key of %u bits; use 2048 to 4096", file,
                         subject, leaf->key_bits);
    case X509_KEY_P521:
    case X509_KEY_ED25519:
    case X509_KEY_OTHER:
        break;
    }
    return error_set(err,
                     "%s: \"%s\" has a key of a kind that is not supported; use RSA, ECDSA P-256 "
                     "or ECDSA P-384",
                     file, subject);
}

/* The library reads only the server's own certificate, and says nothing of use when it cannot. */
static int refuse_leaf(const struct chain_cert *found, struct error *err) {
    const struct span serial = found->cert.serial;
    char subject[160];
    x509_name_text(found->cert.subject, subject, sizeof subject);
    return error_set(err, "%s: the TLS library does not accept the certificate of \"%s\": %s",
                     found->file, subject,
                     serial.len == 1 && serial.data[0] == 0 ? "its serial number is zero"
                     : serial.len > X509_SERIAL_MAX
                         ? "its serial number has more than 20 octets (RFC 5280 4.1.2.2)"
                         : "it is not encoded as RFC 5280 asks");
}

/* Hands the chain to the library, as PEM, leaf first. */
static int use_chain(WOLFSSL_CTX *ssl_ctx, const struct chain *chain, struct error *err) {
    struct buf text = {0};
    for (size_t i = 0; i < chain->count; i++) {
        if (!pem_write(&text, "CERTIFICATE", chain->certs[i].cert.der)) {
            buf_free(&text);
            return error_set(err, "out of memory");
        }
    }
    int used = wolfSSL_CTX_use_certificate_chain_buffer(ssl_ctx, text.data, (long)text.len);
    buf_free(&text);
    return used == WOLFSSL_SUCCESS ? 0 : refuse_leaf(&chain->certs[0], err);
}

static int use_files(struct tls_certificate *certificate, const struct chain *chain,
                     const struct pem *key, const struct config_certificate *section,
                     struct error *err) {
    char subject[160], owner[512];
    const struct x509 *leaf = &chain->certs[0].cert;
    x509_name_text(leaf->subject, subject, sizeof subject);
    snprintf(owner, sizeof owner, "\"%s\" (%s) in %s", subject, certificate->info.key_type,
             section->cert);
    if (use_chain(certificate->ssl_ctx, chain, err) != 0) {
        return -1;
    }
    return private_key_use(certificate->ssl_ctx, key, section->key, leaf, owner, err);
}

static const char *date_text(int64_t at, char out[32]) {
    struct tm tm;
    time_t t = (time_t)at;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        snprintf(out, 32, "?");
    }
    return out;
}

static void warn_dates(const struct chain_cert *found) {
    const struct x509 *cert = &found->cert;
    int64_t now = (int64_t)time(NULL);
    char subject[160], date[32];
    x509_name_text(cert->subject, subject, sizeof subject);
    if (now > cert->not_after) {
        log_message(LOG_LEVEL_WARNING, "certificate expired",
                    "%s: \"%s\" expired on %s: clients refuse it; renew it, or set the clock",
                    found->file, subject, date_text(cert->not_after, date));
    } else if (now < cert->not_before) {
        log_message(LOG_LEVEL_WARNING, "certificate not yet valid",
                    "%s: \"%s\" is valid from %s; is the clock right?", found->file, subject,
                    date_text(cert->not_before, date));
    }
}

/* What clients may refuse, although it can be served. */
static void warn_use(const struct chain_cert *found) {
    const struct x509 *leaf = &found->cert;
    char subject[160];
    x509_name_text(leaf->subject, subject, sizeof subject);
    if (leaf->has_purposes && !leaf->for_server_auth) {
        log_message(LOG_LEVEL_WARNING, "certificate not for servers",
                    "%s: \"%s\" is not for servers (its extendedKeyUsage is without serverAuth): "
                    "clients will refuse it",
                    found->file, subject);
    }
    if (leaf->must_staple) {
        log_message(LOG_LEVEL_WARNING, "certificate must staple",
                    "%s: \"%s\" asks for a stapled OCSP response (must-staple), which Postern does "
                    "not send: clients that insist on it will refuse the certificate; get one "
                    "without",
                    found->file, subject);
    }
    if (leaf->has_compressed_key) {
        log_message(
            LOG_LEVEL_WARNING, "certificate with compressed key",
            "%s: \"%s\" has its key as a compressed point, which clients of TLS 1.2 and small "
            "devices refuse; get one for the uncompressed key (openssl ec -in OLD "
            "-conv_form uncompressed -out NEW)",
            found->file, subject);
    }
}

static void warn(const struct chain *chain, const struct pem *key,
                 const struct config_certificate *section) {
    for (size_t i = 0; i < chain->count; i++) {
        warn_dates(&chain->certs[i]);
    }
    warn_use(&chain->certs[0]);
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

/* One more name in the list, cut where that is full. It is printed, and certificates may say
 * anything: bytes that are not printable ASCII, and those with a meaning here, become \xHH. */
static void append_text(char text[NAMES_TEXT_MAX], struct span value) {
    size_t len = strlen(text);
    len += (size_t)snprintf(text + len, NAMES_TEXT_MAX - len, "%s", len > 0 ? ", " : "");
    for (size_t i = 0; i < value.len && len + sizeof "\\xHH" <= NAMES_TEXT_MAX; i++) {
        uint8_t c = value.data[i];
        bool is_plain = c >= 0x20 && c < 0x7f && c != ',' && c != '\\';
        len += (size_t)snprintf(text + len, NAMES_TEXT_MAX - len, is_plain ? "%c" : "\\x%02x", c);
    }
}

static void append_ip(char text[NAMES_TEXT_MAX], struct span value) {
    char ip[INET6_ADDRSTRLEN] = "?";
    inet_ntop(value.len == 4 ? AF_INET : AF_INET6, value.data, ip, sizeof ip);
    append_text(text, (struct span){(const uint8_t *)ip, strlen(ip)});
}

/* DNS names of the extension; without the extension, the common name. */
static bool read_names(struct tls_certificate *certificate, const struct x509 *leaf,
                       char text[NAMES_TEXT_MAX]) {
    struct span rest = leaf->alt_names, value;
    unsigned type;
    uint8_t tag;
    text[0] = '\0';
    while (x509_next_alt_name(&rest, &type, &value)) {
        if (type == X509_ALT_DNS) {
            if (!add_name(certificate, value)) {
                return false;
            }
            append_text(text, value);
        } else if (type == X509_ALT_IP && (value.len == 4 || value.len == 16)) {
            append_ip(text, value);
        }
    }
    if (leaf->alt_names.data == NULL && x509_common_name(leaf->subject, &value, &tag) > 0) {
        append_text(text, value);
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

/* For --check and the log. */
static void print_key(const struct x509 *leaf, char *text, size_t size) {
    switch (leaf->key) {
    case X509_KEY_RSA:
        snprintf(text, size, "RSA %u", leaf->key_bits);
        return;
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
        snprintf(text, size, "ECDSA P-%u", leaf->key_bits);
        return;
    case X509_KEY_ED25519:
        snprintf(text, size, "Ed25519");
        return;
    case X509_KEY_OTHER:
        break;
    }
    snprintf(text, size, "another key");
}

static bool describe(struct tls_certificate *certificate, const struct x509 *leaf,
                     const struct config_certificate *section) {
    char names[NAMES_TEXT_MAX], subject[256], key[24];
    if (!read_names(certificate, leaf, names)) {
        return false;
    }
    x509_name_text(leaf->subject, subject, sizeof subject);
    print_key(leaf, key, sizeof key);
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

static int list_expiries(struct tls_certificate *certificate, const struct chain *chain,
                         struct error *err) {
    for (size_t i = 0; i < chain->count; i++) {
        const struct chain_cert *sent = &chain->certs[i];
        if (expiries_add_certificate(&certificate->expiries, TLS_EXPIRY_CERTIFICATE, sent->file,
                                     &sent->cert, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Moves the key out of the library's memory, where it can be. */
static int keep_key_secret(struct tls_certificate *certificate, struct error *err) {
    size_t size = quirks_key_size(certificate->ssl_ctx);
    bool locked;
    if (size == 0) {
        return 0;
    }
    certificate->secret = secret_new(size, &locked);
    if (certificate->secret == NULL) {
        return error_set(err, "out of memory");
    }
    certificate->secret_size = size;
    certificate->info.key_unlocked = !locked;
    quirks_move_key(certificate->ssl_ctx, certificate->secret);
    return 0;
}

static int fill(struct tls_certificate *certificate, const struct config_certificate *section,
                enum config_tls_version min, enum config_tls_version max, const struct pem *cert,
                const struct pem *more, const struct pem *key, struct error *err) {
    struct chain chain;
    if (chain_build(&chain, section, cert, more, err) != 0 || check_leaf(&chain, err) != 0) {
        return -1;
    }
    certificate->ssl_ctx = wolfSSL_CTX_new(method_for(min, max));
    if (certificate->ssl_ctx == NULL || !describe(certificate, &chain.certs[0].cert, section)) {
        return error_set(err, "out of memory");
    }
    if (use_files(certificate, &chain, key, section, err) != 0 ||
        keep_key_secret(certificate, err) != 0 || list_expiries(certificate, &chain, err) != 0) {
        return -1;
    }
    warn(&chain, key, section);
    return 0;
}

static int read_file(struct pem *pem, const char *file, const char *name, struct error *err) {
    return pem_read(pem, file, err) == 0 ? 0 : error_prefix(err, "%s", name);
}

static __attribute__((noinline)) int load_files(struct tls_certificate *certificate,
                                                const struct config_certificate *section,
                                                enum config_tls_version min,
                                                enum config_tls_version max, struct error *err) {
    struct pem cert, more = {0}, key = {0};
    int result = -1;
    if (read_file(&cert, section->cert, "cert", err) != 0) {
        return -1;
    }
    if ((section->chain == NULL || read_file(&more, section->chain, "chain", err) == 0) &&
        read_file(&key, section->key, "key", err) == 0) {
        result = fill(certificate, section, min, max, &cert, &more, &key, err);
    }
    pem_free(&cert);
    pem_free(&more);
    pem_free(&key);
    return result;
}

/* The library decodes keys on the stack, and does not wipe all of it. */
int certificate_load(struct tls_certificate *certificate, const struct config_certificate *section,
                     enum config_tls_version min, enum config_tls_version max, struct error *err) {
    int result = load_files(certificate, section, min, max, err);
    wipe_stack();
    wipe_registers();
    return result;
}

int certificate_make_bare(struct tls_certificate *bare, enum config_tls_version min,
                          enum config_tls_version max, struct error *err) {
    bare->ssl_ctx = wolfSSL_CTX_new(method_for(min, max));
    return bare->ssl_ctx != NULL ? 0 : error_set(err, "out of memory");
}

void certificate_free(struct tls_certificate *certificate) {
    if (certificate->secret != NULL) {
        quirks_forget_key(certificate->ssl_ctx);
        secret_free(certificate->secret, certificate->secret_size);
    }
    wolfSSL_CTX_free(certificate->ssl_ctx);
    for (size_t i = 0; i < certificate->name_count; i++) {
        free(certificate->names[i]);
    }
    free(certificate->names);
    expiries_free(&certificate->expiries);
    free((char *)certificate->info.section);
    free((char *)certificate->info.file);
    free((char *)certificate->info.subject);
    free((char *)certificate->info.names);
    free((char *)certificate->info.key_type);
    free((char *)certificate->info.serial);
    memset(certificate, 0, sizeof *certificate);
}
