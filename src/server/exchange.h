/* One question of one thread to another, which answers it when it comes to it.
 *
 * The asking thread owns what it asks about and waits for the answer; there is one that asks at a
 * time. How the other thread learns that there is a question is the caller's. */
#ifndef POSTERN_SERVER_EXCHANGE_H
#define POSTERN_SERVER_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum exchange_state {
    EXCHANGE_IDLE,
    EXCHANGE_ASKED,
    EXCHANGE_TAKEN,
    EXCHANGE_ANSWERED,
    EXCHANGE_CLOSED /* nobody answers any more */
};

/* Embedded; the fields are exchange.c's. */
struct exchange {
    uv_mutex_t mutex;
    uv_cond_t changed;
    enum exchange_state state;
    void *question;
};

int exchange_init(struct exchange *e) __attribute__((warn_unused_result)); /* 0 or a libuv code */
void exchange_destroy(struct exchange *e);

/* --- the asking thread --- */

/* False: the exchange is closed. Else exchange_wait must follow. */
bool exchange_ask(struct exchange *e, void *question) __attribute__((warn_unused_result));

/* Waits for the answer. False if the other thread has not taken the question within that time, or
 * has closed; then it does not touch it any more. Once taken, it is waited for. */
bool exchange_wait(struct exchange *e, uint64_t timeout_ms) __attribute__((warn_unused_result));

/* --- the answering thread --- */

void *exchange_take(struct exchange *e);  /* the question; NULL: there is none */
void exchange_answer(struct exchange *e); /* the one that was taken */
void exchange_close(struct exchange *e);

#endif
