#include "server/exchange.h"

int exchange_init(struct exchange *e) {
    e->state = EXCHANGE_IDLE;
    e->question = NULL;
    int rc = uv_mutex_init(&e->mutex);
    if (rc != 0) {
        return rc;
    }
    rc = uv_cond_init(&e->changed);
    if (rc != 0) {
        uv_mutex_destroy(&e->mutex);
    }
    return rc;
}

void exchange_destroy(struct exchange *e) {
    uv_cond_destroy(&e->changed);
    uv_mutex_destroy(&e->mutex);
}

/* From one state to another; false if it is not in the first. */
static bool change(struct exchange *e, enum exchange_state from, enum exchange_state to) {
    uv_mutex_lock(&e->mutex);
    bool is_there = e->state == from;
    if (is_there) {
        e->state = to;
        uv_cond_signal(&e->changed);
    }
    uv_mutex_unlock(&e->mutex);
    return is_there;
}

bool exchange_ask(struct exchange *e, void *question) {
    uv_mutex_lock(&e->mutex);
    bool open = e->state != EXCHANGE_CLOSED;
    if (open) {
        e->question = question;
        e->state = EXCHANGE_ASKED;
    }
    uv_mutex_unlock(&e->mutex);
    return open;
}

bool exchange_wait(struct exchange *e, uint64_t timeout_ms) {
    uint64_t until_ns = uv_hrtime() + timeout_ms * 1000000;
    uv_mutex_lock(&e->mutex);
    for (uint64_t now_ns = uv_hrtime(); e->state == EXCHANGE_ASKED && now_ns < until_ns;
         now_ns = uv_hrtime()) {
        (void)uv_cond_timedwait(&e->changed, &e->mutex, until_ns - now_ns);
    }
    while (e->state == EXCHANGE_TAKEN) {
        uv_cond_wait(&e->changed, &e->mutex);
    }
    bool answered = e->state == EXCHANGE_ANSWERED;
    if (e->state != EXCHANGE_CLOSED) {
        e->state = EXCHANGE_IDLE;
    }
    uv_mutex_unlock(&e->mutex);
    return answered;
}

void *exchange_take(struct exchange *e) {
    return change(e, EXCHANGE_ASKED, EXCHANGE_TAKEN) ? e->question : NULL;
}

void exchange_answer(struct exchange *e) {
    (void)change(e, EXCHANGE_TAKEN, EXCHANGE_ANSWERED);
}

void exchange_close(struct exchange *e) {
    uv_mutex_lock(&e->mutex);
    e->state = EXCHANGE_CLOSED;
    uv_cond_signal(&e->changed);
    uv_mutex_unlock(&e->mutex);
}
