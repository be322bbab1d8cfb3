#include "pki.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { DAY = 86400, FILES_MAX = 256 };

static char folder[64];
static pid_t folder_maker; /* a test in a child process may make one of its own */
static char *files[FILES_MAX];
static size_t file_count;
static long next_serial = 0x1000;

static EVP_PKEY *make_rsa(int bits, const char *exponent, int primes) {
    EVP_PKEY *key = NULL;
    BIGNUM *e = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    NEED(ctx != NULL && BN_hex2bn(&e, exponent) != 0 && EVP_PKEY_keygen_init(ctx) == 1 &&
         EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) == 1 &&
         EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, primes) == 1 &&
         EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) == 1 && EVP_PKEY_generate(ctx, &key) == 1);
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* One for all who want it, as it takes seconds to make; five primes are found much faster than two
 * large ones. Child processes have it if it was made before. */
static EVP_PKEY *large_key(void) {
    static EVP_PKEY *key;
    if (key == NULL) {
        key = make_rsa(8192, "10001", 5);
    }
    EVP_PKEY_up_ref(key);
    return key;
}

static EVP_PKEY *make_key(enum pki_key kind) {
    static const struct {
        const char *type, *curve, *exponent;
        int bits, primes;
    } kinds[] = {
        [PKI_P256] = {.curve = "P-256"},
        [PKI_P384] = {.curve = "P-384"},
        [PKI_P521] = {.curve = "P-521"},
        [PKI_SECP256K1] = {.curve = "secp256k1"},
        [PKI_ED25519] = {.type = "ED25519"},
        [PKI_ED448] = {.type = "ED448"},
        [PKI_RSA1024] = {.bits = 1024, .exponent = "10001", .primes = 2},
        [PKI_RSA2048] = {.bits = 2048, .exponent = "10001", .primes = 2},
        [PKI_RSA3072] = {.bits = 3072, .exponent = "10001", .primes = 2},
        [PKI_RSA4096] = {.bits = 4096, .exponent = "10001", .primes = 2},
        /* Of 65 bits, and a prime. */
        [PKI_RSA2048_LARGE_EXPONENT] = {.bits = 2048, .exponent = "100000000000000ED", .primes = 2},
    };
    EVP_PKEY *key = NULL;
    if (kind == PKI_RSA8192) {
        key = large_key();
    } else if (kinds[kind].curve != NULL) {
        key = EVP_EC_gen(kinds[kind].curve);
    } else if (kinds[kind].type != NULL) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].type);
    } else {
        key = make_rsa(kinds[kind].bits, kinds[kind].exponent, kinds[kind].primes);
    }
    NEED(key != NULL);
    return key;
}

/* Sections that values may refer to: of two directory names. */
static CONF *sections(void) {
    static const char text[] = "[within]\nO=Test\n[elsewhere]\nO=Other\n";
    BIO *bio = BIO_new_mem_buf(text, -1);
    CONF *conf = NCONF_new(NULL);
    NEED(bio != NULL && conf != NULL && NCONF_load_bio(conf, bio, NULL) == 1);
    BIO_free(bio);
    return conf;
}

/* `name` as openssl's configuration has it, or an OID. */
static void add_named(X509 *cert, X509 *issuer, const char *name, const char *value) {
    X509V3_CTX ctx;
    CONF *conf = sections();
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509V3_set_nconf(&ctx, conf);
    X509_EXTENSION *ext = X509V3_EXT_nconf(conf, &ctx, name, value);
    NEED(ext != NULL && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
    NCONF_free(conf);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
    add_named(cert, issuer, OBJ_nid2sn(nid), value);
}

static void add_names(X509 *cert, const char *cn) {
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Test", -1, -1, 0);
    char *copy = strdup(cn != NULL ? cn : ""), *save = NULL;
    for (char *one = strtok_r(copy, "|", &save); one != NULL; one = strtok_r(NULL, "|", &save)) {
        NEED(
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (unsigned char *)one, -1, -1, 0));
    }
    free(copy);
}

static void add_or_not(X509 *cert, X509 *issuer, int nid, const char *value, const char *usual) {
    value = value != NULL ? value : usual;
    if (value != NULL && strcmp(value, "none") != 0) {
        add_extension(cert, issuer, nid, value);
    }
}

static void add_extensions(X509 *cert, X509 *issuer, const struct pki_spec *spec, bool self) {
    add_or_not(cert, issuer, NID_basic_constraints, spec->basic,
               spec->ca ? "critical,CA:TRUE" : NULL);
    add_or_not(cert, issuer, NID_key_usage, spec->key_usage,
               spec->ca ? "critical,keyCertSign,cRLSign" : NULL);
    add_or_not(cert, issuer, NID_subject_key_identifier, spec->key_id, "hash");
    add_or_not(cert, issuer, NID_authority_key_identifier, spec->issuer_key_id,
               self ? NULL : "keyid");
    add_or_not(cert, issuer, NID_subject_alt_name, spec->alt, NULL);
    add_or_not(cert, issuer, NID_ext_key_usage, spec->usage, NULL);
    add_or_not(cert, issuer, NID_name_constraints, spec->constraints, NULL);
    if (spec->extra != NULL) {
        char name[64];
        const char *value = strchr(spec->extra, '=') + 1;
        snprintf(name, sizeof name, "%.*s", (int)(value - spec->extra - 1), spec->extra);
        add_named(cert, issuer, name, value);
    }
}

static void set_serial(X509 *cert, const char *hex) {
    BIGNUM *number = NULL;
    if (hex == NULL) {
        ASN1_INTEGER_set(X509_get_serialNumber(cert), next_serial++);
        return;
    }
    NEED(BN_hex2bn(&number, hex) != 0 &&
         BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL);
    BN_free(number);
}

static void sign(X509 *cert, EVP_PKEY *key, const struct pki_spec *spec) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_ctx;
    const EVP_MD *md = EVP_get_digestbyname(spec->hash != NULL ? spec->hash : "SHA256");
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
        md = NULL;
    }
    NEED(ctx != NULL && EVP_DigestSignInit(ctx, &key_ctx, md, NULL, key) == 1);
    if (spec->pss) {
        NEED(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, spec->pss_salt) == 1);
    }
    NEED(X509_sign_ctx(cert, ctx));
    EVP_MD_CTX_free(ctx);
}

struct pki pki_make(struct pki_spec spec, const struct pki *issuer) {
    struct pki p = {X509_new(), spec.key_of != NULL ? spec.key_of->key : make_key(spec.key)};
    X509 *issuer_cert = issuer != NULL ? issuer->cert : p.cert;
    NEED(p.cert != NULL && X509_set_version(p.cert, spec.version1 ? 0 : 2));
    if (spec.key_of != NULL) {
        EVP_PKEY_up_ref(p.key);
    }
    set_serial(p.cert, spec.serial);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), spec.from_day ? spec.from_day * DAY : -3600);
    X509_gmtime_adj(X509_getm_notAfter(p.cert),
                    spec.to_seconds ? spec.to_seconds : (spec.to_day ? spec.to_day : 30) * DAY);
    add_names(p.cert, spec.cn);
    X509_set_issuer_name(p.cert, X509_get_subject_name(issuer_cert));
    X509_set_pubkey(p.cert, p.key);
    if (!spec.version1) {
        add_extensions(p.cert, issuer_cert, &spec, issuer == NULL);
    }
    sign(p.cert, issuer != NULL ? issuer->key : p.key, &spec);
    return p;
}

void pki_free(struct pki *p) {
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    memset(p, 0, sizeof *p);
}

static void clean_own_folder(void) {
    if (folder_maker == getpid()) {
        pki_clean();
    }
}

static void make_folder(void) {
    static bool registered;
    snprintf(folder, sizeof folder, "/tmp/postern-pki-XXXXXX");
    NEED(mkdtemp(folder) != NULL);
    folder_maker = getpid();
    if (!registered) {
        registered = atexit(clean_own_folder) == 0;
    }
}

static FILE *create(const char *name, mode_t mode) {
    if (!folder[0]) {
        make_folder();
    }
    NEED(file_count < FILES_MAX && asprintf(&files[file_count], "%s/%s", folder, name) > 0);
    FILE *f = fopen(files[file_count++], "w");
    NEED(f != NULL && fchmod(fileno(f), mode) == 0);
    return f;
}

static const char *close_last(FILE *f) {
    NEED(fclose(f) == 0);
    return files[file_count - 1];
}

const char *pki_certs(const char *name, const struct pki *first, ...) {
    FILE *f = create(name, 0644);
    va_list args;
    va_start(args, first);
    for (const struct pki *p = first; p != NULL; p = va_arg(args, const struct pki *)) {
        NEED(PEM_write_X509(f, p->cert));
    }
    va_end(args);
    return close_last(f);
}

const char *pki_key(const char *name, const struct pki *p) {
    FILE *f = create(name, 0600);
    NEED(PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL));
    return close_last(f);
}

const char *pki_text(const char *name, const char *text) {
    FILE *f = create(name, 0600);
    NEED(fputs(text, f) >= 0);
    return close_last(f);
}

const char *pki_joined(const char *name, const char *a, const char *b) {
    static char text[1 << 20];
    size_t len = 0;
    const char *parts[] = {a, b};
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(parts[i], "r");
        NEED(f != NULL);
        len += fread(text + len, 1, sizeof text - len - 1, f);
        fclose(f);
    }
    text[len] = '\0';
    return pki_text(name, text);
}

static X509_CRL *make_crl(const struct pki *issuer, const struct pki *listed, long days) {
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *at = X509_gmtime_adj(NULL, -10 * DAY);
    NEED(crl != NULL && X509_CRL_set_version(crl, 1));
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert));
    X509_CRL_set1_lastUpdate(crl, at);
    X509_gmtime_adj(at, days * DAY);
    X509_CRL_set1_nextUpdate(crl, at);
    if (listed != NULL) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(listed->cert));
        X509_gmtime_adj(at, -5 * DAY);
        X509_REVOKED_set_revocationDate(revoked, at);
        NEED(X509_CRL_add0_revoked(crl, revoked));
    }
    ASN1_TIME_free(at);
    X509_CRL_sort(crl);
    return crl;
}

static const char *save_crl(const char *name, X509_CRL *crl) {
    FILE *f = create(name, 0644);
    NEED(PEM_write_X509_CRL(f, crl));
    X509_CRL_free(crl);
    return close_last(f);
}

const char *pki_crl(const char *name, const struct pki *issuer, const struct pki *listed,
                    long days) {
    X509_CRL *crl = make_crl(issuer, listed, days);
    NEED(X509_CRL_sign(crl, issuer->key, EVP_sha256()));
    return save_crl(name, crl);
}

const char *pki_crl_long(const char *name, const struct pki *issuer, int count) {
    X509_CRL *crl = make_crl(issuer, NULL, 5);
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    ASN1_TIME *at = X509_gmtime_adj(NULL, -5 * DAY);
    for (int i = 0; i < count; i++) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        NEED(ASN1_INTEGER_set(serial, 1000000000L + i));
        X509_REVOKED_set_serialNumber(revoked, serial);
        X509_REVOKED_set_revocationDate(revoked, at);
        NEED(X509_CRL_add0_revoked(crl, revoked));
    }
    ASN1_TIME_free(at);
    ASN1_INTEGER_free(serial);
    X509_CRL_sort(crl);
    bool hashes_itself = EVP_PKEY_id(issuer->key) == EVP_PKEY_ED25519;
    NEED(X509_CRL_sign(crl, issuer->key, hashes_itself ? NULL : EVP_sha256()));
    return save_crl(name, crl);
}

const char *pki_crl_for(const char *name, const struct pki *issuer, const struct pki *listed,
                        const char *point) {
    char value[200];
    X509_CRL *crl = make_crl(issuer, listed, 5);
    snprintf(value, sizeof value, "critical,%s", point);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_issuing_distribution_point, value);
    NEED(ext != NULL && X509_CRL_add_ext(crl, ext, -1) &&
         X509_CRL_sign(crl, issuer->key, EVP_sha256()));
    X509_EXTENSION_free(ext);
    return save_crl(name, crl);
}

const char *pki_crl_pss(const char *name, const struct pki *issuer, const struct pki *listed) {
    X509_CRL *crl = make_crl(issuer, listed, 5);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_ctx;
    NEED(ctx != NULL && EVP_DigestSignInit(ctx, &key_ctx, EVP_sha256(), NULL, issuer->key) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
         X509_CRL_sign_ctx(crl, ctx));
    EVP_MD_CTX_free(ctx);
    return save_crl(name, crl);
}

/* Removes whatever is in the folder: tests in child processes made files that this process does not
 * know. */
void pki_clean(void) {
    while (file_count > 0) {
        free(files[--file_count]);
    }
    DIR *dir = folder[0] ? opendir(folder) : NULL;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    if (folder[0]) {
        rmdir(folder);
    }
    folder[0] = '\0';
}
