#include "server/http.h"

#include "core/address.h"
#include "core/list.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than VISITORS are only there for a moment, until the thread has seen that they are shut. */
enum {
    VISITORS = 16,
    VISITORS_MOST = 20,
    SILENCE_SECONDS = 10,
    REQUEST_MAX = 16384,
    BODY_MAX = 4096
};

/* A connection. All of it is for the server's thread. */
struct visitor {
    struct list link; /* in visitors: the one whose last request or answer is oldest comes first */
    int fd;
    bool waits; /* for an answer of another thread */
};

struct http {
    struct MHD_Daemon *daemon;
    struct http_hooks hooks;
    struct list visitors;
    size_t visitor_count;
};

struct http_request {
    struct http *http;
    struct MHD_Connection *connection;
    const char *method, *path;
    size_t body; /* bytes that came */
    bool given;  /* to on_request */
    bool waits;  /* for an answer of another thread */
    unsigned status;
    const char *type;
    struct buf answer;
    const char *header, *header_value;
    void (*after)(void *arg);
    void *after_arg;
};

bool http_is_built_in(void) {
    return true;
}

/* --- connections --- */

static struct visitor *visitor_of(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void touch(struct http *http, struct visitor *v) {
    list_remove(&v->link);
    list_append(&http->visitors, &v->link);
}

/* The library closes it when it finds that nothing more comes. */
static void make_room(struct http *http) {
    for (struct list *l = http->visitors.next; l != &http->visitors; l = l->next) {
        struct visitor *v = container_of(l, struct visitor, link);
        if (!v->waits) {
            shutdown(v->fd, SHUT_RDWR);
            touch(http, v);
            return;
        }
    }
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    struct http *http = arg;
    struct visitor *v = *context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (v != NULL) {
            list_remove(&v->link);
            http->visitor_count--;
            free(v);
        }
        return;
    }
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    v = calloc(1, sizeof *v);
    if (v == NULL) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    if (http->visitor_count >= VISITORS) {
        make_room(http);
    }
    v->fd = fd;
    list_append(&http->visitors, &v->link);
    http->visitor_count++;
    *context = v;
}

/* --- requests --- */

static enum MHD_Result send_answer(struct http_request *r) {
    size_t size = r->answer.len;
    struct MHD_Response *response =
        size > 0 ? MHD_create_response_from_buffer(size, r->answer.data, MHD_RESPMEM_MUST_FREE)
                 : MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    if (size > 0) {
        r->answer = (struct buf){0};
    }
    /* A header that does not fit into memory is left out. */
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (r->header != NULL) {
        (void)MHD_add_response_header(response, r->header, r->header_value);
    }
    enum MHD_Result result = MHD_queue_response(r->connection, r->status, response);
    MHD_destroy_response(response);
    return result;
}

static struct http_request *make_request(struct http *http, struct MHD_Connection *connection,
                                         const char *path, const char *method) {
    struct http_request *r = calloc(1, sizeof *r);
    if (r != NULL) {
        struct visitor *v = visitor_of(connection);
        if (v != NULL) {
            touch(http, v);
        }
        *r = (struct http_request){
            .http = http, .connection = connection, .method = method, .path = path};
    }
    return r;
}

/* Called for a request's head, for each part of its body, for its end, and again when what waited
 * is answered. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_size, void **context) {
    struct http *http = arg;
    struct http_request *r = *context;
    if (r == NULL) {
        *context = make_request(http, connection, path, method);
        return *context != NULL ? MHD_YES : MHD_NO;
    }
    if (*body_size > 0) {
        r->body += *body_size;
        *body_size = 0;
        return r->body <= BODY_MAX ? MHD_YES : MHD_NO;
    }
    if (!r->given) {
        r->given = true;
        http->hooks.on_request(http->hooks.arg, r);
        if (r->waits) { /* and may have been answered since: then the library calls again */
            return MHD_YES;
        }
    }
    struct visitor *v = visitor_of(connection);
    if (v != NULL) {
        v->waits = false;
    }
    return send_answer(r);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code) {
    struct http *http = arg;
    struct http_request *r = *context;
    struct visitor *v = visitor_of(connection);
    *context = NULL;
    if (v != NULL) {
        touch(http, v);
    }
    if (r != NULL) {
        if (r->after != NULL) {
            r->after(r->after_arg);
        }
        buf_free(&r->answer);
        free(r);
    }
}

/* The library's messages are about what single clients do, and about its own use. */
static void on_message(void *arg, const char *format, va_list args) {
}

struct http *http_start(int fd, const struct http_hooks *hooks, struct error *err) {
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        close(fd);
        error_set(err, "out of memory");
        return NULL;
    }
    http->hooks = *hooks;
    list_init(&http->visitors);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
        MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)VISITORS_MOST, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SILENCE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MAX,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, http, MHD_OPTION_END);
    if (http->daemon == NULL) {
        close(fd);
        free(http);
        error_set(err, "cannot start the HTTP server; are there descriptors and memory?");
        return NULL;
    }
    return http;
}

void http_stop(struct http *http) {
    if (http != NULL) {
        MHD_stop_daemon(http->daemon);
        free(http);
    }
}

/* --- of a request --- */

const char *http_method(const struct http_request *r) {
    return r->method;
}

const char *http_path(const struct http_request *r) {
    return r->path;
}

const char *http_header(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *http_argument(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool http_is_local(const struct http_request *r) {
    const struct sockaddr *sa =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    if (sa == NULL || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)) {
        return true;
    }
    struct address address = address_from_sockaddr(sa, sizeof(struct sockaddr_in6));
    return address_is_loopback(&address);
}

void http_answer(struct http_request *r, unsigned status, const char *type, struct buf *body) {
    r->type = type;
    r->answer = *body;
    *body = (struct buf){0};
    r->status = status;
    if (r->waits) {
        MHD_resume_connection(r->connection);
    }
}

void http_answer_text(struct http_request *r, unsigned status, const char *text) {
    struct buf body = {0};
    if (!buf_append(&body, text, strlen(text), SIZE_MAX) || !buf_append(&body, "\n", 1, SIZE_MAX)) {
        body.len = 0;
    }
    http_answer(r, status, "text/plain; charset=utf-8", &body);
}

void http_wait(struct http_request *r) {
    struct visitor *v = visitor_of(r->connection);
    if (v != NULL) {
        v->waits = true;
    }
    r->waits = true;
    MHD_suspend_connection(r->connection);
}

void http_then(struct http_request *r, void (*after)(void *arg), void *arg) {
    r->after = after;
    r->after_arg = arg;
}

void http_add_header(struct http_request *r, const char *name, const char *value) {
    r->header = name;
    r->header_value = value;
}
