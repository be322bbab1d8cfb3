/* Handshakes that pause in the middle of a signature, and what other connections do meanwhile. */
#include "run.h"
#include "tls/engine_stack.h"
#include "tls_pair.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* On other processors the library never pauses: each step runs to its end. */
#ifdef POSTERN_PAUSES
enum { PAUSES_HERE = 1 };
#else
enum { PAUSES_HERE = 0 };
#endif

static struct pki ca, server, device;
static const char *ca_file;
static struct site site;
static struct tls_context *ctx;
static struct engine_stack *stack;

static struct {
    unsigned asked;
    bool yes;
} pauses;

/* --- what is left in the vector registers of the thread that computes --- */

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) /* which delivers signals later */
enum { MARK = 0x5ec4e7 };

static struct {
    long thread; /* that computed last */
    volatile sig_atomic_t found;
} mark;

/* A mark where a signature has had numbers of the key. */
static void leave_mark(void) {
    mark.thread = syscall(SYS_gettid);
    __asm__ volatile("movd %0, %%xmm15" ::"r"(MARK) : "xmm15");
}

/* The kernel shows the registers that the thread had when the signal came. */
static void on_look(int number, siginfo_t *info, void *context) {
    const ucontext_t *thread = context;
    (void)number;
    (void)info;
    mark.found = thread->uc_mcontext.fpregs->_xmm[15].element[0] == MARK ? 2 : 1;
}

/* SIGSYS is the one signal that no thread blocks (coroutine_thread.c). */
static bool mark_is_left(void) {
    struct sigaction look = {.sa_sigaction = on_look, .sa_flags = SA_SIGINFO | SA_RESTART};
    ck_assert_int_eq(sigaction(SIGSYS, &look, NULL), 0);
    mark.found = 0;
    ck_assert_int_eq(syscall(SYS_tgkill, getpid(), mark.thread, SIGSYS), 0);
    for (int i = 0; i < 10000 && mark.found == 0; i++) {
        usleep(1000);
    }
    ck_assert_int_ne(mark.found, 0);
    return mark.found == 2;
}
#else
static void leave_mark(void) {
}

static bool mark_is_left(void) {
    return false;
}
#endif

int __real_engine_accept(struct engine *e);
int __wrap_engine_accept(struct engine *e);

int __wrap_engine_accept(struct engine *e) {
    int code = __real_engine_accept(e);
    leave_mark();
    return code;
}

static bool on_should_pause(void *arg) {
    ck_assert_ptr_eq(arg, &pauses);
    pauses.asked++;
    leave_mark();
    return pauses.yes;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void once(void) {
    struct error err;
    ck_assert_msg(tls_library_start(&err) == 0, "%s", err.text);
    ca = pki_make((struct pki_spec){.cn = "CA", .ca = 1, .key = PKI_RSA4096}, NULL);
    server = pki_make((struct pki_spec){.cn = "localhost", .key = PKI_RSA2048}, NULL);
    device = pki_make((struct pki_spec){.cn = "device-1", .key = PKI_RSA2048}, &ca);
    ca_file = pki_certs("ca.pem", &ca, NULL);
}

static void finally(void) {
    pki_free(&ca);
    pki_free(&server);
    pki_free(&device);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    site_init(&site, pki_certs("rsa.pem", &server, NULL), pki_key("rsa.key", &server));
    ctx = site_load(&site, NULL);
    memset(&pauses, 0, sizeof pauses);
    pauses.yes = true;
    stack = engine_stack_new(on_should_pause, &pauses);
    ck_assert_ptr_nonnull(stack);
}

static void teardown(void) {
    engine_stack_free(stack);
    tls_context_unref(ctx);
}

/* A client that has sent its ClientHello, and an engine that has not been given it yet. */
static void begin(struct pair *p, int version, const struct pki *cert) {
    SSL_CTX *client = client_new(version);
    if (cert != NULL) {
        ck_assert_int_eq(SSL_CTX_use_certificate(client, cert->cert), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, cert->key), 1);
    }
    pair_init(p, client, "localhost", NULL);
    SSL_CTX_free(client);
    p->stack = stack;
    SSL_do_handshake(p->client);
    pair_collect(p);
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
    p->engine = engine_open(ctx, &p->hello);
    ck_assert_ptr_nonnull(p->engine);
}

/* One call, whose input and output are in memory that is freed afterwards. */
static enum engine_status step(struct pair *p) {
    uint8_t *copy = malloc(p->up.len + 1);
    struct buf out = {0};
    if (p->up.len > 0) {
        memcpy(copy, p->up.data, p->up.len);
    }
    struct engine_input in = {copy, p->up.len};
    p->status = engine_handshake(p->engine, &in, &out, p->stack);
    buf_consume(&p->up, p->up.len - in.len);
    ck_assert(buf_append(&p->out, out.data, out.len, SIZE_MAX));
    buf_free(&out);
    free(copy);
    return p->status;
}

/* To the end of the handshake; returns how often it paused. */
static unsigned finish(struct pair *p) {
    unsigned count = 0;
    for (int turns = 0; turns < 10 && p->status != ENGINE_OK; turns++) {
        while (step(p) == ENGINE_PAUSED) {
            count++;
        }
        ck_assert_int_ne(p->status, ENGINE_FAILED);
        pair_deliver(p);
        SSL_do_handshake(p->client);
        pair_collect(p);
    }
    ck_assert_int_eq(p->status, ENGINE_OK);
    ck_assert(SSL_is_init_finished(p->client));
    return count;
}

static void exchange(struct pair *p) {
    pair_send_up(p, "up", 2);
    pair_send_down(p, "down", 4);
}

/* Steps until the next pause; false where there are none. */
static bool pause_in_step(struct pair *p) {
    if (step(p) == ENGINE_PAUSED) {
        return true;
    }
    ck_assert(!PAUSES_HERE);
    return false;
}

static void use_key(enum pki_key kind) {
    struct pki own = pki_make((struct pki_spec){.cn = "localhost", .key = kind}, NULL);
    site_init(&site, pki_certs("own.pem", &own, NULL), pki_key("own.key", &own));
    tls_context_unref(ctx);
    ctx = site_load(&site, NULL);
    pki_free(&own);
}

static void ask_for_certificates(void) {
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)ca_file;
    tls_context_unref(ctx);
    ctx = site_load(&site, NULL);
}

/* Every RSA signature pauses at least so often; an ECDSA signature takes no longer than one of its
 * pieces. */
START_TEST(long_computations_may_pause) {
    static const enum pki_key kinds[] = {PKI_RSA2048, PKI_RSA3072, PKI_RSA4096};
    static const unsigned at_least[] = {16, 50, 100};
    struct pair p;
    use_key(kinds[_i]);
    pauses.yes = false;
    begin(&p, TLS1_2_VERSION, NULL);
    ck_assert_uint_eq(finish(&p), 0);
    pair_free(&p);
    if (PAUSES_HERE) {
        ck_assert_uint_ge(pauses.asked, at_least[_i]);
    }
}
END_TEST

START_TEST(without_a_stack_nothing_pauses) {
    struct pair p;
    begin(&p, versions[_i], NULL);
    p.stack = NULL;
    ck_assert_uint_eq(finish(&p), 0);
    ck_assert_uint_eq(pauses.asked, 0);
    pair_free(&p);
}
END_TEST

START_TEST(a_paused_handshake_continues_where_it_was) {
    struct pair p;
    begin(&p, versions[_i], NULL);
    unsigned count = finish(&p);
    if (PAUSES_HERE) {
        ck_assert_uint_ge(count, 16);
    }
    exchange(&p);
    pair_free(&p);
}
END_TEST

START_TEST(a_stack_serves_one_handshake_after_another) {
    for (int i = 0; i < 10; i++) {
        struct pair p;
        begin(&p, versions[i % 2], NULL);
        finish(&p);
        exchange(&p);
        pair_free(&p);
    }
}
END_TEST

START_TEST(other_engines_work_during_a_pause) {
    struct pair paused, other;
    begin(&other, versions[_i], NULL);
    other.stack = NULL;
    begin(&paused, versions[_i], NULL);
    if (pause_in_step(&paused)) {
        unsigned asked = pauses.asked;
        finish(&other);
        ck_assert_uint_eq(pauses.asked, asked);
        while (step(&paused) == ENGINE_PAUSED) {
            exchange(&other);
        }
        pair_deliver(&paused);
        SSL_do_handshake(paused.client);
        pair_collect(&paused);
        finish(&paused);
        exchange(&paused);
        exchange(&other);
    }
    pair_free(&paused);
    pair_free(&other);
}
END_TEST

START_TEST(a_second_engine_waits_for_the_stack) {
    struct pair first, second;
    begin(&first, versions[_i], NULL);
    begin(&second, versions[_i], NULL);
    if (pause_in_step(&first)) {
        size_t len = second.up.len;
        ck_assert_int_eq(step(&second), ENGINE_PAUSED);
        ck_assert_uint_eq(second.up.len, len);
        ck_assert_uint_eq(second.out.len, 0);
        finish(&first);
        finish(&second);
        exchange(&first);
        exchange(&second);
    }
    pair_free(&first);
    pair_free(&second);
}
END_TEST

START_TEST(input_that_arrives_during_a_pause_is_read_after_it) {
    struct pair p;
    static const uint8_t close_notify[] = {21, 3, 3, 0, 2, 1, 0};
    begin(&p, TLS1_2_VERSION, NULL);
    if (pause_in_step(&p)) {
        ck_assert_uint_eq(p.up.len, 0);
        ck_assert(buf_append(&p.up, close_notify, sizeof close_notify, SIZE_MAX));
        while (step(&p) == ENGINE_PAUSED) {
        }
        ck_assert_int_eq(p.status, ENGINE_FAILED);
        ck_assert_int_eq(engine_failure(p.engine), REASON_CLIENT_CLOSED);
    }
    pair_free(&p);
}
END_TEST

START_TEST(a_paused_engine_may_be_freed) {
    struct pair p;
    begin(&p, versions[_i], NULL);
    bool paused = pause_in_step(&p);
    ck_assert(!engine_stack_has_work(stack));
    pair_free(&p);
    ck_assert_int_eq(engine_stack_has_work(stack), paused);
    /* The context may be released too: the abandoned step holds its own reference. */
    tls_context_retire(ctx);
    tls_context_unref(ctx);
    ctx = NULL;
    for (unsigned i = 0; engine_stack_has_work(stack); i++) {
        ck_assert_uint_lt(i, 100000);
        engine_stack_work(stack);
    }
    engine_stack_work(stack);
    ctx = site_load(&site, NULL);
    begin(&p, versions[_i], NULL);
    finish(&p);
    exchange(&p);
    pair_free(&p);
}
END_TEST

START_TEST(the_next_engine_completes_the_step_of_a_freed_one) {
    struct pair left, next;
    begin(&left, versions[_i], NULL);
    begin(&next, versions[_i], NULL);
    (void)pause_in_step(&left);
    pair_free(&left);
    finish(&next);
    ck_assert(!engine_stack_has_work(stack));
    exchange(&next);
    pair_free(&next);
}
END_TEST

START_TEST(a_stack_can_be_freed_with_the_step_of_a_freed_engine) {
    struct pair p;
    begin(&p, versions[_i], NULL);
    (void)pause_in_step(&p);
    pair_free(&p);
    engine_stack_free(stack);
    stack = NULL;
    engine_stack_free(stack);
    ck_assert(!engine_stack_has_work(stack));
}
END_TEST

START_TEST(registers_keep_nothing_of_a_step) {
    struct pair p;
    begin(&p, versions[_i], NULL);
    while (step(&p) == ENGINE_PAUSED) {
        ck_assert(!mark_is_left());
    }
    ck_assert(!mark_is_left());
    pair_free(&p);
    begin(&p, versions[_i], NULL);
    (void)pause_in_step(&p);
    pair_free(&p);
    while (engine_stack_has_work(stack)) {
        engine_stack_work(stack);
        ck_assert(!mark_is_left());
    }
}
END_TEST

/* The check of a client's certificate takes long too: its signer has a large key here. */
START_TEST(the_check_of_a_certificate_may_pause) {
    struct pair p;
    ask_for_certificates();
    begin(&p, versions[_i], &device);
    finish(&p);
    ck_assert_str_eq(engine_identity(p.engine), "device-1");
    exchange(&p);
    pair_free(&p);
}
END_TEST

/* Freed after each number of pauses, so that nothing of a step relies on the engine's owner. */
START_TEST(an_engine_may_be_freed_at_each_pause) {
    bool finished = !PAUSES_HERE;
    ask_for_certificates();
    for (unsigned after = 1; !finished; after += 1 + after / 8) {
        struct pair p;
        unsigned count = 0;
        begin(&p, versions[_i], &device);
        while (count < after && p.status != ENGINE_OK) {
            if (step(&p) == ENGINE_PAUSED) {
                count++;
                continue;
            }
            pair_deliver(&p);
            SSL_do_handshake(p.client);
            pair_collect(&p);
        }
        finished = p.status == ENGINE_OK;
        pair_free(&p);
        ck_assert_int_eq(engine_stack_has_work(stack), !finished);
        while (engine_stack_has_work(stack)) {
            engine_stack_work(stack);
        }
    }
}
END_TEST

int main(void) {
    Suite *s = suite_create("engine stack");
    TCase *tc = tcase_create("engine stack");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, long_computations_may_pause, 0, 3);
    tcase_add_loop_test(tc, without_a_stack_nothing_pauses, 0, 2);
    tcase_add_loop_test(tc, a_paused_handshake_continues_where_it_was, 0, 2);
    tcase_add_test(tc, a_stack_serves_one_handshake_after_another);
    tcase_add_loop_test(tc, other_engines_work_during_a_pause, 0, 2);
    tcase_add_loop_test(tc, a_second_engine_waits_for_the_stack, 0, 2);
    tcase_add_test(tc, input_that_arrives_during_a_pause_is_read_after_it);
    tcase_add_loop_test(tc, a_paused_engine_may_be_freed, 0, 2);
    tcase_add_loop_test(tc, the_next_engine_completes_the_step_of_a_freed_one, 0, 2);
    tcase_add_loop_test(tc, a_stack_can_be_freed_with_the_step_of_a_freed_engine, 0, 2);
    tcase_add_loop_test(tc, registers_keep_nothing_of_a_step, 0, 2);
    tcase_add_loop_test(tc, the_check_of_a_certificate_may_pause, 0, 2);
    tcase_add_loop_test(tc, an_engine_may_be_freed_at_each_pause, 0, 2);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
