/* One fault of each kind that pointers.query is to find, and what it is to let pass: ./dev lint
 * tries the query on this first. Not part of any program. */
#include <stdbool.h>
#include <stddef.h>

int lint_pointers(const char *p, const char *q, int n);

int lint_pointers(const char *p, const char *q, int n) {
    bool implicit = p; /* 1 */
    if (p) {           /* 2 */
        n++;
    }
    while (p) { /* 3 */
        p = q;
    }
    do {
        p = q;
    } while (p); /* 4 */
    for (; p;) { /* 5 */
        p = q;
    }
    n += p ? 1 : 2;  /* 6 */
    n += !p;         /* 7 */
    n += p && n > 1; /* 8 */
    n += n > 1 || p; /* 9 */
    n += NULL == p;  /* 10 */
    n += p == 0;     /* 11 */
    n += p == NULL || (n != 0 && q != NULL) || !implicit || p == q;
    return n != 0 ? n : !n;
}
