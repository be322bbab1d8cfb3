/* On a machine where a kernel of ours computes wrongly, it is not used, the log says so, and
 * clients are served nevertheless. BROKEN is that kernel, which is linked in place of the library's
 * copy; 0: none is broken. */
#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vector/kernels.h>

static const struct {
    enum postern_kernel kernel;
    const char *name;
} kernels[] = {
    {POSTERN_KERNEL_GCM, "AES-GCM"},
    {POSTERN_KERNEL_RSA, "RSA-2048"},
    {POSTERN_KERNEL_X25519, "X25519"},
    {POSTERN_KERNEL_P256, "P-256"},
};

/* What it writes to standard error, and its result. */
static int start_library(char *log, size_t size) {
    struct error err;
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int result = tls_library_start(&err);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ck_assert_int_eq(fseek(file, 0, SEEK_SET), 0);
    log[fread(log, 1, size - 1, file)] = '\0';
    fclose(file);
    return result;
}

START_TEST(what_fails_its_self_test_is_not_used_and_logged) {
    char log[4096];
    ck_assert_int_eq(start_library(log, sizeof log), 0);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        bool offered = (postern_kernels_offered() & kernels[i].kernel) != 0;
        bool broken = BROKEN == kernels[i].kernel;
        ck_assert_int_eq(postern_kernel_is_used(kernels[i].kernel), offered && !broken);
        ck_assert_int_eq(strstr(log, kernels[i].name) != NULL, broken);
    }
    ck_assert_int_eq(strstr(log, "vector code") != NULL, BROKEN != 0);
    tls_library_stop();
}
END_TEST

static const struct {
    int version;
    enum pki_key key;
} clients[] = {
    {TLS1_2_VERSION, PKI_RSA2048},
    {TLS1_3_VERSION, PKI_RSA2048},
    {TLS1_2_VERSION, PKI_P256},
    {TLS1_3_VERSION, PKI_P256},
};

static SSL_CTX *new_client(int version) {
    SSL_CTX *client = client_new(version);
    ck_assert_int_eq(SSL_CTX_set1_groups_list(client, "X25519:P-256"), 1);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client, "AESGCM"), 1);
    ck_assert_int_eq(SSL_CTX_set_ciphersuites(client, "TLS_AES_128_GCM_SHA256"), 1);
    return client;
}

START_TEST(clients_are_served_without_the_broken_kernel) {
    static unsigned char data[40000];
    char log[4096];
    struct site site;
    struct pair pair;
    ck_assert_int_eq(start_library(log, sizeof log), 0);
    struct pki cert = pki_make((struct pki_spec){.cn = "localhost", .key = clients[_i].key}, NULL);
    site_init(&site, pki_certs("cert.pem", &cert, NULL), pki_key("cert.key", &cert));
    struct tls_context *ctx = site_load(&site, NULL);
    SSL_CTX *client = new_client(clients[_i].version);
    pair_init(&pair, client, NULL, NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(&pair, ctx), ENGINE_OK);
    pair_send_up(&pair, data, sizeof data);
    pair_send_down(&pair, data, sizeof data);
    pair_free(&pair);
    tls_context_unref(ctx);
    pki_free(&cert);
    pki_clean();
    tls_library_stop();
}
END_TEST

int main(void) {
    if (BROKEN != 0 && (postern_kernels_offered() & BROKEN) == 0) {
        puts("skipped: this processor never uses the kernel that is broken here");
        return RUN_SKIPPED;
    }
    Suite *suite = suite_create("self_test");
    TCase *test = tcase_create("self_test");
    tcase_add_test(test, what_fails_its_self_test_is_not_used_and_logged);
    tcase_add_loop_test(test, clients_are_served_without_the_broken_kernel, 0,
                        sizeof clients / sizeof *clients);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
