/* PROXY headers: the result for a prefix never contradicts that for the whole; what was read and is
 * written again reads the same; what is written is well formed down to its last TLV. */
#include "wire/proxy_protocol.h"

#include "fuzz.h"

static enum proxy_header_status parse(const uint8_t *data, size_t size, struct proxy_header *out) {
    uint8_t *copy = fuzz_copy(data, size);
    memset(out, 0xee, sizeof *out);
    const enum proxy_header_status status = proxy_header_parse(copy, size, out);
    free(copy);
    return status;
}

static bool same(const struct proxy_header *a, const struct proxy_header *b) {
    return a->has_addresses == b->has_addresses && address_is_equal(&a->source, &b->source) &&
           address_is_equal(&a->destination, &b->destination);
}

/* Walks TLVs to exactly the end; returns how many there were. */
static size_t check_tlvs(const uint8_t *data, size_t size, size_t *ssl_at) {
    size_t count = 0;
    for (size_t at = 0; at < size; count++) {
        CHECK(size - at >= 3);
        const size_t len = (size_t)data[at + 1] << 8 | data[at + 2];
        CHECK(len <= size - at - 3);
        if (data[at] == 0x20 && ssl_at != NULL) {
            *ssl_at = at;
        }
        at += 3 + len;
    }
    return count;
}

static void check_written(const struct proxy_header *header, const struct proxy_tls *tls) {
    const struct address *source = &header->source, *destination = &header->destination;
    uint8_t block[PROXY_HEADER_OUT_MAX];
    char line[PROXY_HEADER_V1_MAX + 1];
    struct proxy_header again;

    const size_t line_size = proxy_header_v1(source, destination, line);
    CHECK(line_size > 0 && line_size == strlen(line));
    CHECK(parse((const uint8_t *)line, line_size, &again) == PROXY_HEADER_OK);
    CHECK(again.size == line_size && same(header, &again));

    const size_t plain_size = proxy_header_v2(source, destination, NULL, block);
    CHECK(parse(block, plain_size, &again) == PROXY_HEADER_OK);
    CHECK(again.size == plain_size && same(header, &again));

    const size_t size = proxy_header_v2(source, destination, tls, block);
    const bool short_names = strlen(tls->common_name) <= PROXY_HEADER_NAME_MAX;
    CHECK(size <= sizeof block);
    CHECK(size > 0 || !short_names || strlen(tls->version) + strlen(tls->cipher) > 100);
    if (size > 0) {
        size_t ssl_at = 0;
        CHECK(short_names);
        CHECK(parse(block, size, &again) == PROXY_HEADER_OK);
        CHECK(again.size == size && same(header, &again));
        check_tlvs(block + plain_size, size - plain_size, &ssl_at);
        const uint8_t *ssl = block + plain_size + ssl_at;
        CHECK(ssl[0] == 0x20 && (ssl[3] & 1) == 1);
        check_tlvs(ssl + 8, ((size_t)ssl[1] << 8 | ssl[2]) - 5, NULL);
    }
}

/* The next of the input's strings, ended by NUL. */
static const char *take_string(char **at, size_t most) {
    const char *text = *at;
    const size_t len = strnlen(*at, most);
    *at += len;
    if (**at == '\0') {
        return text;
    }
    **at = '\0';
    (*at)++;
    return text;
}

static void try_write(const struct proxy_header *header, const uint8_t *data, size_t size,
                      struct fuzz_dice *dice) {
    char *strings = calloc(1, size + 8), *at = strings;
    CHECK(strings != NULL);
    memcpy(strings, data, size);
    struct proxy_tls tls = {0};
    tls.version = take_string(&at, fuzz_roll(dice, 20));
    tls.cipher = take_string(&at, fuzz_roll(dice, 60));
    tls.common_name = take_string(&at, fuzz_roll(dice, 300));
    tls.server_name = take_string(&at, fuzz_roll(dice, 300));
    tls.session_certificate = fuzz_roll(dice, 2) == 1;
    tls.connection_certificate = fuzz_roll(dice, 2) == 1;
    check_written(header, &tls);
    free(strings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_dice dice = fuzz_dice_from(data, size);
    struct proxy_header header, part;
    const enum proxy_header_status status = parse(data, size, &header);

    for (int i = 0; i < 4; i++) {
        const enum proxy_header_status before = parse(data, fuzz_roll(&dice, size + 1), &part);
        CHECK(before == PROXY_HEADER_MORE || before == status);
        CHECK(before != PROXY_HEADER_OK || (part.size == header.size && same(&part, &header)));
    }
    if (status == PROXY_HEADER_MORE) {
        CHECK(size < PROXY_HEADER_IN_MAX);
    }
    if (status == PROXY_HEADER_OK) {
        CHECK(header.size <= size && header.size <= PROXY_HEADER_IN_MAX);
        CHECK(parse(data, header.size - 1, &part) == PROXY_HEADER_MORE);
        CHECK(header.has_addresses == (header.source.family != ADDRESS_NONE));
        try_write(&header, data + header.size, size - header.size, &dice);
    }
    return 0;
}
