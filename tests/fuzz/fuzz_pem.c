/* PEM: blocks lie in the file one after the other, each reads the same alone, OpenSSL finds the
 * same bytes in it; and any bytes written as PEM are read back. */
#include "tls/pem.h"

#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static int parse(struct pem *pem, const uint8_t *text, size_t size) {
    struct buf bytes = {.data = fuzz_copy(text, size), .len = size, .cap = size};
    struct error err = {""};
    const int rc = pem_parse(pem, &bytes, "name", &err);
    CHECK(bytes.data == NULL);
    CHECK(rc == 0 || (rc == -1 && strncmp(err.text, "name: ", 6) == 0 && pem->blocks == NULL));
    return rc;
}

static bool same(const struct buf *a, const uint8_t *data, size_t size) {
    return a->len == size && (size == 0 || memcmp(a->data, data, size) == 0);
}

static void read_alone(const struct pem_block *block) {
    struct pem alone;
    CHECK(parse(&alone, block->text.data, block->text.len) == 0);
    CHECK(alone.count == 1 && strcmp(alone.blocks[0].label, block->label) == 0);
    CHECK(same(&alone.blocks[0].der, block->der.data, block->der.len));
    pem_free(&alone);
}

/* With header lines (encrypted in the old way) we decode nothing: there is nothing to compare. */
static void compare(const struct pem_block *block) {
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long size = 0;
    BIO *bio = BIO_new_mem_buf(block->text.data, (int)block->text.len);
    CHECK(bio != NULL);
    if (block->der.len > 0 && PEM_read_bio(bio, &name, &header, &data, &size) == 1 &&
        header[0] == '\0') {
        CHECK(strcmp(name, block->label) == 0);
        CHECK(same(&block->der, data, (size_t)size));
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    BIO_free(bio);
}

static void try_text(const uint8_t *text, size_t size) {
    static const char begin[] = "-----BEGIN ", dashes[] = "-----";
    struct pem pem;
    if (parse(&pem, text, size) != 0) {
        return;
    }
    const uint8_t *last = pem.file.data;
    for (size_t i = 0; i < pem.count; i++) {
        const struct pem_block *block = &pem.blocks[i];
        const size_t label = strnlen(block->label, sizeof block->label);
        CHECK(label < sizeof block->label);
        CHECK(block->text.data >= last);
        last = block->text.data + block->text.len;
        CHECK(last <= pem.file.data + pem.file.len);
        CHECK(memcmp(block->text.data, begin, sizeof begin - 1) == 0);
        CHECK(memcmp(block->text.data + sizeof begin - 1, block->label, label) == 0);
        CHECK(memcmp(last - 5, dashes, 5) == 0);
        CHECK(!pem_is_certificate(block) || (!pem_is_key(block) && !pem_is_crl(block)));
        (void)pem_is_encrypted(block);
        read_alone(block);
        compare(block);
    }
    pem_free(&pem);
}

static void try_round_trip(const uint8_t *data, size_t size) {
    if (size == 0) {
        return;
    }
    struct pem pem;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    CHECK(bio != NULL && PEM_write_bio(bio, "CERTIFICATE", "", data, (long)size) > 0);
    CHECK(PEM_write_bio(bio, "PRIVATE KEY", "", data, (long)size) > 0);
    const long len = BIO_get_mem_data(bio, &text);
    CHECK(parse(&pem, (const uint8_t *)text, (size_t)len) == 0);
    CHECK(pem.count == 2 && pem_is_certificate(&pem.blocks[0]) && pem_is_key(&pem.blocks[1]));
    CHECK(same(&pem.blocks[0].der, data, size) && same(&pem.blocks[1].der, data, size));
    pem_free(&pem);
    BIO_free(bio);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_text(data, size);
    try_round_trip(data, size);
    return 0;
}
