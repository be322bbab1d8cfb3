#include "wire/suites.h"

#include <stddef.h>

struct suite_range {
    uint16_t first, last;
    bool ecdsa, aead;
};

/* ECDHE suites signed by the server's key (IANA's registry); all others need no row. */
static const struct suite_range suite_ranges[] = {
    {0xC006, 0xC00A, true, false}, {0xC010, 0xC014, false, false}, /* NULL, RC4, 3DES, AES CBC */
    {0xC023, 0xC024, true, false}, {0xC027, 0xC028, false, false}, /* AES CBC, SHA-2 */
    {0xC02B, 0xC02C, true, true},  {0xC02F, 0xC030, false, true},  /* AES GCM */
    {0xC048, 0xC049, true, false}, {0xC04C, 0xC04D, false, false}, /* ARIA CBC */
    {0xC05C, 0xC05D, true, true},  {0xC060, 0xC061, false, true},  /* ARIA GCM */
    {0xC072, 0xC073, true, false}, {0xC076, 0xC077, false, false}, /* Camellia CBC */
    {0xC086, 0xC087, true, true},  {0xC08A, 0xC08B, false, true},  /* Camellia GCM */
    {0xC0AC, 0xC0AF, true, true},                                  /* AES CCM */
    {0xCCA9, 0xCCA9, true, true},  {0xCCA8, 0xCCA8, false, true},  /* ChaCha20 */
};

void suite_kinds_note(struct suite_kinds *kinds, uint16_t suite) {
    for (size_t i = 0; i < sizeof suite_ranges / sizeof suite_ranges[0]; i++) {
        const struct suite_range *range = &suite_ranges[i];
        if (suite < range->first || suite > range->last) {
            continue;
        }
        kinds->ecdsa_aead |= range->ecdsa && range->aead;
        kinds->ecdsa_other |= range->ecdsa && !range->aead;
        kinds->rsa_aead |= !range->ecdsa && range->aead;
        kinds->rsa_other |= !range->ecdsa && !range->aead;
        return;
    }
}
