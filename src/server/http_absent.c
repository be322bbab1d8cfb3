/* In place of http.c where Postern is built without libmicrohttpd (-Dadmin=disabled): no server can
 * be started, so that no request ever comes. */
#include "server/http.h"

#include <unistd.h>

bool http_is_built_in(void) {
    return false;
}

struct http *http_start(int fd, const struct http_hooks *hooks, struct error *err) {
    close(fd);
    error_set(err, "this Postern was built without the admin socket; write admin = off");
    return NULL;
}

void http_stop(struct http *http) {
}

const char *http_method(const struct http_request *r) {
    return "";
}

const char *http_path(const struct http_request *r) {
    return "";
}

const char *http_header(const struct http_request *r, const char *name) {
    return NULL;
}

const char *http_argument(const struct http_request *r, const char *name) {
    return NULL;
}

bool http_is_local(const struct http_request *r) {
    return false;
}

void http_answer(struct http_request *r, unsigned status, const char *type, struct buf *body) {
    buf_free(body);
}

void http_answer_text(struct http_request *r, unsigned status, const char *text) {
}

void http_wait(struct http_request *r) {
}

void http_then(struct http_request *r, void (*after)(void *arg), void *arg) {
}

void http_add_header(struct http_request *r, const char *name, const char *value) {
}
