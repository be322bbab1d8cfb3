/* How Postern wants wolfSSL 5.9.2: a TLS 1.2 and 1.3 server, small per connection, fast on the
 * processors it meets. What is not named here is off or has the library's default.
 *
 * Included by the library's C and assembly sources and by whoever includes its headers: no C
 * outside #ifndef __ASSEMBLER__. */
#ifndef POSTERN_USER_SETTINGS_H
#define POSTERN_USER_SETTINGS_H

/* ---- Platform ---- */
#define HAVE_SYS_TIME_H
#ifdef __SIZEOF_INT128__
#define HAVE___UINT128_T 1
#endif
#define HAVE_NETINET_IN_H
#define HAVE_PTHREAD
#define HAVE_GMTIME_R /* gmtime() races between threads that check dates */
#define WOLFSSL_HAVE_ATOMIC_H
#define HAVE_C___ATOMIC /* reference counts without a mutex (44 bytes and a lock each) */
#define WOLFSSL_USER_IO /* no socket calls: the engine feeds memory */
#define NO_FILESYSTEM   /* files are opened by tls/context.c, which can say what is wrong */
#define NO_WRITEV
#define NO_ERROR_QUEUE
#define TFM_NO_TIMER
#define WOLFSSL_IGNORE_FILE_WARN
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BIG_ENDIAN_ORDER /* without it the library assumes little-endian */
#endif
/* A number in a byte stream may lie at any address, so it is read byte by byte. Without this the
 * library reads it as a word; two such reads become one that traps on 32-bit ARM (the check of a
 * ticket ended the process). The library sets it itself where it has assembly. */
#ifndef WOLFSSL_USE_ALIGN
#define WOLFSSL_USE_ALIGN
#endif

/* ---- Random numbers ----
 * The library's own generator costs each connection memory that outlives a TLS 1.3 handshake, and
 * 18 us of seeding. The kernel's is better and needs no state. */
#define WC_NO_HASHDRBG
#define CUSTOM_RAND_GENERATE_BLOCK postern_random
#ifndef __ASSEMBLER__
int postern_random(unsigned char *out, unsigned int len); /* 0, or -1; in postern_random.c */
#endif

/* ---- Protocol ---- */
#define WOLFSSL_TLS13
#define NO_OLD_TLS                     /* nothing before TLS 1.2 */
#define WOLFSSL_TLS13_MIDDLEBOX_COMPAT /* RFC 8446 D.4: a must where the client asks for it */
#define NO_WOLFSSL_CLIENT
#define HAVE_TLS_EXTENSIONS
#define HAVE_SUPPORTED_CURVES
#define HAVE_EXTENDED_MASTER
#define HAVE_SERVER_RENEGOTIATION_INFO  /* OpenSSL 3 clients insist; renegotiating itself is not in \
                                         */
#define HAVE_MAX_FRAGMENT
#define HAVE_SESSION_TICKET
#define WOLFSSL_NO_DEF_TICKET_ENC_CB /* tickets.c has the only callback */
#define WOLFSSL_AEAD_ONLY
#define WOLFSSL_EXTRA_ALERTS /* an alert for every failure */
#define WOLFSSL_CHECK_ALERT_ON_ERR
/* External pre-shared keys come from the program (psk.diff, postern_psk.h). In TLS 1.2 this is what
 * lets plain PSK be compiled; a context has no suite that its list does not name. */
#define POSTERN_PSK
#define WOLFSSL_STATIC_PSK
/* HAVE_SNI is off on purpose: our own parser reads the name, and ours is the ticket binding. */

/* What a ticket carries of a client certificate (tickets.c) fits here. Every connection has room
 * for one ticket, so each byte is paid by all of them. */
#define WOLFSSL_TICKET_EXTRA_PADDING_SZ 160
/* Room for an identity of a pre-shared key and for a hint, in each handshake under way: neither is
 * used, as the program is handed identities where they are (psk.diff), and no hint is sent. */
#define MAX_PSK_ID_LEN 4
/* An old client that falls back to TLS 1.2 says so, and is refused (RFC 7507). */
#define HAVE_FALLBACK_SCSV
/* Bytes of 0-RTT that are skipped, which no ticket of ours allows (early-data.diff). */
#define POSTERN_EARLY_DATA_SKIPPED 65536
/* An extension of DTLS, which is ignored here, may be empty. */
#define WOLFSSL_CID_MIN_SIZE_CLIENT 0
/* Bytes of signature_algorithms that are looked at; every connection keeps room for them. */
#define WOLFSSL_MAX_SIGALGO 96

/* ---- Sessions by ID (TLS 1.2) ----
 * Only through the callbacks of tickets.c. The library's own table is never used, and small. */
#define HAVE_EXT_CACHE
#define MICRO_SESSION_CACHE
#define NO_SESSION_CACHE_REF
#define NO_CLIENT_CACHE

/* ---- Certificates ---- */
#define WOLFSSL_PEM_TO_DER
#define WOLFSSL_BASE64_ENCODE
#define WOLFSSL_ASN_TEMPLATE
/* HAVE_CRL is off: an expired CRL would hide which serials it lists, and lists are searched from
 * end to end. tls/client.c does that. */
#define WOLFSSL_ALWAYS_VERIFY_CB    /* the callback sees good certificates too: identity */
#define WOLFSSL_ALT_CERT_CHAINS     /* no certificate of a client is kept: see tls/client.c */
#define MAX_CHAIN_DEPTH          16 /* certificates that a client may send */
#define WOLFSSL_PSS_LONG_SALT    /* openssl signs certificates by RSA-PSS with the longest salt */
#define WOLFSSL_ALT_NAMES
#define WOLFSSL_CERT_EXT

/* ---- Algorithms ---- */
#define HAVE_ECC
#define ECC_USER_CURVES /* P-256 is always in */
#define HAVE_ECC384
#define HAVE_ECC521           /* of clients and their CAs, as is Ed25519 */
#define POSTERN_NO_P521_GROUP /* p521-group.diff */
#define HAVE_ED25519
#define NO_ED25519_SIGN
#define NO_ED25519_MAKE_KEY
#define NO_ED25519_KEY_EXPORT
#define ALT_ECC_SIZE /* points and keys of curves take the room of P-521, not that of RSA-8192 */
#define ECC_SHAMIR
#define HAVE_CURVE25519
#define HAVE_AESGCM
#define NO_AES_192
#define NO_AES_CBC
#define HAVE_CHACHA
#define HAVE_POLY1305
#define HAVE_ONE_TIME_AUTH
#define WOLFSSL_SHA384
#define WOLFSSL_SHA512
#define HAVE_HKDF
#define WC_RSA_PSS
#define WC_RSA_BLINDING
#define ECC_TIMING_RESISTANT
#define TFM_TIMING_RESISTANT
#define RSA_MIN_SIZE   2048
#define ECC_MIN_KEY_SZ 256

#define NO_SHA
#define NO_MD4
#define NO_MD5
#define NO_DES3
#define NO_RC4
#define NO_DSA
#define NO_DH
#define NO_PWDBASED
#define NO_PKCS12
#define NO_PKCS7

/* ---- Post-quantum key exchange ----
 * X25519MLKEM768 and no other group with ML-KEM. The client's half of ML-KEM is for tests: the
 * linker leaves it out of the program. */
#define WOLFSSL_HAVE_MLKEM
#define WOLFSSL_PQC_HYBRIDS
#define WOLFSSL_TLS_NO_MLKEM_STANDALONE
#define WOLFSSL_NO_ML_KEM_512
#define WOLFSSL_NO_ML_KEM_1024
#define WOLFSSL_SHA3
#define WOLFSSL_SHAKE128
#define WOLFSSL_SHAKE256
#define POSTERN_GROUP_COUNT 4 /* group-count.diff */
/* Else each client that did not use the first of our groups is sent the list of them. */
#define WOLFSSL_NO_SERVER_GROUPS_EXT

/* ---- Big numbers ----
 * RSA and the NIST curves have code of their own (SP); the rest goes the general way. */
#define WOLFSSL_SP_MATH_ALL
#define SP_INT_BITS 8192 /* RSA keys of CAs */
#define WOLFSSL_HAVE_SP_RSA
#define WOLFSSL_HAVE_SP_ECC
#define WOLFSSL_SP_384
#define WOLFSSL_SP_521
#define WOLFSSL_SP_4096

/* ---- Processors ----
 * meson.build says which (POSTERN_X86_64, POSTERN_AARCH64) and compiles the assembly that goes with
 * it; each instruction set beyond the base is looked for at run time. Others run plain C. */
#if defined(POSTERN_X86_64)
#define WOLFSSL_X86_64_BUILD
#define USE_INTEL_SPEEDUP
#define WOLFSSL_AESNI
#define WOLFSSL_SP_ASM
#define WOLFSSL_SP_X86_64_ASM
/* The AES-NI code has no use for GHASH tables; processors without it pay with speed. */
#define GCM_SMALL
/* The AVX2 code for elliptic curves and RSA leaves the upper halves of the vector registers in use,
 * and with these the SHA instructions of current Intel processors take 80 times as long (measured:
 * 20 HMACs after a signature 490 us, after VZEROUPPER 5.5 us). The library calls this where it has
 * used vector registers. */
#ifndef __ASSEMBLER__
static inline void postern_vectors_done(void) {
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroupper" ::: "memory");
    }
}
#define RESTORE_VECTOR_REGISTERS() postern_vectors_done()
#endif
#elif defined(POSTERN_AARCH64)
#define WOLFSSL_ARMASM
#define WOLFSSL_ARMASM_NEON
#define WOLFSSL_AARCH64_NO_SQRDMLSH
#define WOLFSSL_SP_ASM
#define WOLFSSL_SP_ARM64_ASM
#define GCM_TABLE_4BIT /* a Raspberry Pi 4 has no AES instructions and does use the table */
#else
#define GCM_TABLE_4BIT
#endif

#endif
