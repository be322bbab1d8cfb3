/* Upstream's Ed25519, whose table x25519_base.c uses too (library_ge.h).
 *
 * Deleted together with x25519_base.c. */
#include "wolfcrypt/src/ge_operations.c"

#include "vector/library_ge.h"

_Static_assert(sizeof(struct postern_multiple) == sizeof(ge_precomp) &&
                   sizeof base == 64 * POSTERN_MULTIPLES * sizeof(struct postern_multiple),
               "the table is another one");

const struct postern_multiple *postern_multiples(int row) {
    return (const struct postern_multiple *)base[row];
}
