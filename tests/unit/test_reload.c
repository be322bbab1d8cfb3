/* Reloads without threads: what takes effect and when, and that a refused reload changes
 * nothing. */
#include "core/log.h"
#include "pki.h"
#include "run.h"
#include "server/reload.h"
#include "server/watch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTENER    "[listener mqtt]\nlisten = 127.0.0.1:0\n"
#define CERTIFICATE "[certificate main]\ncert = cert.pem\nkey = key.pem\n"
#define GOOD        LISTENER CERTIFICATE
#define WATCHING    "[postern]\nreload = watch\n" GOOD

static struct pki first, second;
static struct server_source source;
static struct tls_shared tls;
static struct backend_table *backends;
static struct reload *reload;
static unsigned handed;
static struct runtime *given; /* handed out to the workers; a reference */

static void hand_out(void *arg, struct runtime *runtime) {
    ck_assert_ptr_eq(arg, &given);
    handed++;
    runtime_unref(given);
    given = runtime_ref(runtime);
}

static const struct pki *written_meanwhile; /* NULL: nothing changes while files are read */

static void write_pair(const struct pki *pki) {
    (void)pki_certs("cert.pem", pki, NULL);
    (void)pki_key("key.pem", pki);
}

struct runtime *__real_runtime_load(struct config *config, const struct tls_shared *shared,
                                    struct backend_table *table, struct error *err);

struct runtime *__wrap_runtime_load(struct config *config, const struct tls_shared *shared,
                                    struct backend_table *table, struct error *err);

/* Another program replaces the files when they have just been read. */
struct runtime *__wrap_runtime_load(struct config *config, const struct tls_shared *shared,
                                    struct backend_table *table, struct error *err) {
    struct runtime *runtime = __real_runtime_load(config, shared, table, err);
    if (written_meanwhile != NULL) {
        write_pair(written_meanwhile);
        written_meanwhile = NULL;
    }
    return runtime;
}

static void write_config(const char *text) {
    source.file = pki_text("postern.conf", text);
}

static const char *serial(void) {
    return tls_context_certificate(reload_current(reload)->listeners[0].tls, 0)->serial;
}

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    first = pki_make((struct pki_spec){.cn = "first"}, NULL);
    second = pki_make((struct pki_spec){.cn = "second"}, NULL);
}

static void finally(void) {
    pki_free(&first);
    pki_free(&second);
    tls_library_stop();
}

static void begin(const char *config) {
    struct error err;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    write_pair(&first);
    write_config(config);
    tls = (struct tls_shared){0};
    backends = backend_table_new(0);
    handed = 0;
    given = NULL;
    reload = reload_new(&(struct reload_parts){
        .source = &source, .tls = &tls, .backends = backends, .hand_out = hand_out, .arg = &given});
    ck_assert(backends != NULL && reload != NULL);
    ck_assert_msg(reload_first(reload, 0, &err) == 0, "%s", err.text);
}

static void setup(void) {
    begin(GOOD);
}

static void setup_watching(void) {
    begin(WATCHING);
}

static void setup_changing(void) {
    written_meanwhile = &second;
    begin(WATCHING);
}

static void teardown(void) {
    runtime_unref(given);
    reload_free(reload);
    backend_table_free(backends);
    pki_clean();
}

START_TEST(the_first_load_takes_effect_without_workers) {
    ck_assert_ptr_nonnull(reload_current(reload));
    ck_assert_uint_eq(handed, 0);
    ck_assert(!reload_is_watching(reload));
    ck_assert(log_wants(LOG_LEVEL_INFO)); /* the configuration's default */
}
END_TEST

START_TEST(a_first_load_that_fails_leaves_nothing) {
    struct error err = {""};
    struct reload *other =
        reload_new(&(struct reload_parts){.source = &source, .tls = &tls, .backends = backends});
    write_config("[listener mqtt]\n");
    ck_assert_int_eq(reload_first(other, 0, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "postern.conf:1: "));
    ck_assert_ptr_null(reload_current(other));
    reload_free(other);
}
END_TEST

START_TEST(a_good_reload_is_handed_out_complete) {
    struct runtime *before = reload_current(reload);
    char was[128];
    snprintf(was, sizeof was, "%s", serial());
    write_pair(&second);
    write_config("[postern]\nlog_level = debug\n" GOOD);
    reload_request(reload, 0);
    ck_assert_uint_eq(handed, 1);
    ck_assert_ptr_ne(reload_current(reload), before);
    ck_assert_ptr_eq(reload_current(reload), given);
    ck_assert_str_ne(serial(), was);
    ck_assert(log_wants(LOG_LEVEL_DEBUG));
    reload_finish(reload, 0);
    ck_assert_ptr_eq(reload_current(reload), given);
}
END_TEST

/* Each of them changes the log level too, which must not take effect either. */
static const struct {
    const char *config;
    bool spoil_key;
} refused[] = {
    {"[postern]\nlog_level = debug\n[listener mqtt\n" CERTIFICATE, false},
    {"[postern]\nlog_level = debug\nworkers = many\n" GOOD, false},
    {"[postern]\nlog_level = debug\nticket_keys = none\n" GOOD, false},
    {"[postern]\nlog_level = debug\n" LISTENER "[certificate main]\ncert = none\nkey = key.pem\n",
     false},
    {"[postern]\nlog_level = debug\n" GOOD, true},
    {"[postern]\nlog_level = debug\n" LISTENER "client_auth = required\nclient_ca = none\n" //
     CERTIFICATE,
     false},
    {"[postern]\nlog_level = debug\n" LISTENER
     "client_auth = required\nclient_allow = none\n" CERTIFICATE,
     false},
    /* Whether a reload changes what it must not is checked last. */
    {"[postern]\nlog_level = debug\nworkers = 7\n" GOOD, false},
    {"[postern]\nlog_level = debug\n[listener other]\nlisten = 127.0.0.1:0\n" CERTIFICATE, false},
    {"[postern]\nlog_level = debug\n[listener mqtt]\nlisten = [::1]:0\n" CERTIFICATE, false},
    {"[postern]\nlog_level = debug\n" LISTENER
     "[listener other]\nlisten = 127.0.0.2:0\n" CERTIFICATE,
     false},
};

START_TEST(a_refused_reload_changes_nothing) {
    struct runtime *before = reload_current(reload);
    write_config(refused[_i].config);
    if (refused[_i].spoil_key) {
        (void)pki_key("key.pem", &second);
    }
    reload_request(reload, 0);
    ck_assert_uint_eq(handed, 0);
    ck_assert_ptr_eq(reload_current(reload), before);
    ck_assert_uint_eq(atomic_load(&before->refs), 1);
    ck_assert(!log_wants(LOG_LEVEL_DEBUG));

    write_pair(&second);
    write_config(GOOD);
    reload_request(reload, 0); /* and the next one is not affected */
    ck_assert_uint_eq(handed, 1);
}
END_TEST

START_TEST(the_old_runtime_lives_until_every_worker_has_the_new_one) {
    struct runtime *before = runtime_ref(reload_current(reload));
    reload_request(reload, 0);
    ck_assert_uint_eq(atomic_load(&before->refs), 2);
    reload_finish(reload, 0);
    ck_assert_uint_eq(atomic_load(&before->refs), 1);
    runtime_unref(before);
}
END_TEST

START_TEST(requests_during_a_reload_become_one_after_it) {
    reload_request(reload, 0);
    ck_assert_uint_eq(handed, 1);
    reload_request(reload, 0);
    write_pair(&second);
    reload_request(reload, 0);
    ck_assert_uint_eq(handed, 1);
    struct runtime *one = reload_current(reload);
    reload_finish(reload, 0);
    ck_assert_uint_eq(handed, 2);
    ck_assert_ptr_ne(reload_current(reload), one);
    reload_finish(reload, 0);
    ck_assert_uint_eq(handed, 2);
}
END_TEST

START_TEST(nothing_is_reloaded_once_the_process_stops) {
    reload_request(reload, 0);
    reload_request(reload, 0);
    reload_stop(reload);
    reload_finish(reload, 0);
    reload_request(reload, 0);
    reload_look(reload, 100000);
    ck_assert_uint_eq(handed, 1);
}
END_TEST

/* Looks at the files as the server's timer does, for so many seconds. Returns the time after
 * them. */
static uint64_t look_for_seconds(uint64_t now_ms, unsigned seconds) {
    for (unsigned i = 0; i < seconds; i++) {
        reload_look(reload, now_ms);
        now_ms += 1000;
    }
    return now_ms;
}

START_TEST(changed_files_are_reloaded_once_they_have_stopped_changing) {
    ck_assert(reload_is_watching(reload));
    uint64_t now = look_for_seconds(1000, 5);
    ck_assert_uint_eq(handed, 0);
    write_pair(&second);
    reload_look(reload, now);
    ck_assert_uint_eq(handed, 0);
    now = look_for_seconds(now + WATCH_STILL_MS, 1);
    ck_assert_uint_eq(handed, 1);
    /* Neither while the workers take it over nor for the same change again. */
    look_for_seconds(now, 5);
    reload_finish(reload, now);
    look_for_seconds(now, 5);
    ck_assert_uint_eq(handed, 1);
}
END_TEST

START_TEST(a_half_written_pair_is_retried_until_it_is_complete) {
    (void)pki_certs("cert.pem", &second, NULL);
    uint64_t now = look_for_seconds(1000, 5);
    ck_assert_uint_eq(handed, 0);
    (void)pki_key("key.pem", &second);
    look_for_seconds(now, 3);
    ck_assert_uint_eq(handed, 1);
}
END_TEST

START_TEST(a_pair_that_was_given_up_loads_once_it_is_fixed) {
    (void)pki_certs("cert.pem", &second, NULL);
    uint64_t now = look_for_seconds(1000, 3 + WATCH_RETRY_MS / 1000);
    (void)pki_key("key.pem", &second);
    look_for_seconds(now, 3);
    ck_assert_uint_eq(handed, 1);
}
END_TEST

START_TEST(a_failed_reload_by_signal_hides_no_change) {
    (void)pki_certs("cert.pem", &second, NULL);
    reload_request(reload, 1000);
    ck_assert_uint_eq(handed, 0);
    (void)pki_key("key.pem", &second);
    look_for_seconds(1500, 3);
    ck_assert_uint_eq(handed, 1);
}
END_TEST

START_TEST(the_files_of_the_new_configuration_are_watched) {
    (void)pki_certs("other.pem", &first, NULL);
    write_config("[postern]\nreload = watch\n" LISTENER
                 "[certificate main]\ncert = other.pem\nkey = key.pem\n");
    reload_request(reload, 1000);
    reload_finish(reload, 1000);
    ck_assert_uint_eq(handed, 1);
    (void)pki_certs("cert.pem", &second, NULL);
    uint64_t now = look_for_seconds(2000, 5);
    ck_assert_uint_eq(handed, 1); /* it is not in use any more */
    (void)pki_certs("other.pem", &second, NULL);
    (void)pki_key("key.pem", &second);
    look_for_seconds(now, 3);
    ck_assert_uint_eq(handed, 2);
}
END_TEST

START_TEST(files_replaced_during_a_reload_are_loaded_too) {
    written_meanwhile = &second;
    reload_request(reload, 1000);
    reload_finish(reload, 1000);
    look_for_seconds(2000, 3);
    ck_assert_uint_eq(handed, 2);
}
END_TEST

START_TEST(files_replaced_during_the_first_load_are_loaded_too) {
    char was[128];
    snprintf(was, sizeof was, "%s", serial());
    look_for_seconds(1000, 3);
    ck_assert_uint_eq(handed, 1);
    ck_assert_str_ne(serial(), was);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reload");
    TCase *test = tcase_create("reload"), *watching = tcase_create("watching");
    TCase *changing = tcase_create("changing");
    tcase_add_unchecked_fixture(test, once, finally);
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, the_first_load_takes_effect_without_workers);
    tcase_add_test(test, a_first_load_that_fails_leaves_nothing);
    tcase_add_test(test, a_good_reload_is_handed_out_complete);
    tcase_add_loop_test(test, a_refused_reload_changes_nothing, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(test, the_old_runtime_lives_until_every_worker_has_the_new_one);
    tcase_add_test(test, requests_during_a_reload_become_one_after_it);
    tcase_add_test(test, nothing_is_reloaded_once_the_process_stops);
    suite_add_tcase(suite, test);
    tcase_add_unchecked_fixture(watching, once, finally);
    tcase_add_checked_fixture(watching, setup_watching, teardown);
    tcase_add_test(watching, changed_files_are_reloaded_once_they_have_stopped_changing);
    tcase_add_test(watching, a_half_written_pair_is_retried_until_it_is_complete);
    tcase_add_test(watching, a_pair_that_was_given_up_loads_once_it_is_fixed);
    tcase_add_test(watching, a_failed_reload_by_signal_hides_no_change);
    tcase_add_test(watching, the_files_of_the_new_configuration_are_watched);
    tcase_add_test(watching, files_replaced_during_a_reload_are_loaded_too);
    tcase_add_unchecked_fixture(changing, once, finally);
    tcase_add_checked_fixture(changing, setup_changing, teardown);
    tcase_add_test(changing, files_replaced_during_the_first_load_are_loaded_too);
    suite_add_tcase(suite, changing);
    suite_add_tcase(suite, watching);
    return run_suite(suite, CK_FORK_GETENV);
}
