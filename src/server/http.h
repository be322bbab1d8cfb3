/* A small HTTP server on a thread of its own, for the admin socket: kept requests and answers in
 * memory, bounded in number, size and time.
 *
 * libmicrohttpd does the work, and its header appears in http.c alone; http_absent.c takes the
 * place of that where Postern is built without it.
 *
 * At most 16 connections are open: one more takes the place of the one whose last request or answer
 * is oldest, so that connections that say nothing, or a byte now and then, keep nobody out. One
 * that is silent for ten seconds is closed. A request has 16 KB at most, its body 4 KB, which is
 * dropped. */
#ifndef POSTERN_SERVER_HTTP_H
#define POSTERN_SERVER_HTTP_H

#include "core/buf.h"
#include "core/error.h"

#include <stdbool.h>

struct http;
struct http_request;

struct http_hooks {
    void *arg;
    /* On the server's thread: a request is whole. Before it returns, http_answer or http_wait is
     * called once. */
    void (*on_request)(void *arg, struct http_request *request);
};

/* Whether this build can serve at all. */
bool http_is_built_in(void);

/* Serves the listening socket, which it takes over, also when it fails. NULL with the reason. The
 * thread inherits the caller's signal mask. */
struct http *http_start(int fd, const struct http_hooks *hooks, struct error *err)
    __attribute__((warn_unused_result));

/* Closes everything and waits for the thread's end. Every request that waits must have been
 * answered. NULL is fine. */
void http_stop(struct http *http);

/* --- of a request, until it is answered --- */

const char *http_method(const struct http_request *r);                     /* "GET" */
const char *http_path(const struct http_request *r);                       /* without its query */
const char *http_header(const struct http_request *r, const char *name);   /* NULL: none */
const char *http_argument(const struct http_request *r, const char *name); /* of the query */

/* Whether the client is on this machine: it came by a unix socket, or from a loopback address. */
bool http_is_local(const struct http_request *r);

/* The answer. `type` is a constant; the bytes of `body` are taken over, and it is empty then. */
void http_answer(struct http_request *r, unsigned status, const char *type, struct buf *body);

/* One line of text, which is copied. */
void http_answer_text(struct http_request *r, unsigned status, const char *text);

/* The request will be answered later, on any thread; to be called before another thread knows of
 * it. */
void http_wait(struct http_request *r);

/* Calls `after` on the server's thread once the answer has been sent, or cannot be. */
void http_then(struct http_request *r, void (*after)(void *arg), void *arg);

/* A header of the answer; constants. One at most. */
void http_add_header(struct http_request *r, const char *name, const char *value);

#endif
