/* How every test program runs its suite. */
#ifndef POSTERN_TEST_RUN_H
#define POSTERN_TEST_RUN_H

#include <check.h>
#include <stdlib.h>

/* The exit code that meson counts as skipped. */
enum { RUN_SKIPPED = 77 };

/* Runs the suite and returns main's result. CK_FORK_GETENV: each test in a process of its own,
 * unless the environment has CK_FORK=no; CK_NOFORK: all in this one. */
static inline int run_suite(Suite *suite, enum fork_status fork_status) {
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, fork_status);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
