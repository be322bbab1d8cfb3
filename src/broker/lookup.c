#include "broker/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* One getaddrinfo under way. */
struct lookup {
    struct list link;
    uv_getaddrinfo_t request;
    struct backend *backend;
    struct list waiting; /* struct lookup_waiter */
};

void lookups_init(struct lookups *lookups, uv_loop_t *loop) {
    lookups->loop = loop;
    list_init(&lookups->under_way);
}

static size_t copy_addresses(const struct addrinfo *found, struct address out[BACKEND_ADDRESSES]) {
    size_t count = 0;
    for (; found != NULL && count < BACKEND_ADDRESSES; found = found->ai_next) {
        struct address a = address_from_sockaddr(found->ai_addr, found->ai_addrlen);
        if (a.family != ADDRESS_NONE) {
            out[count++] = a;
        }
    }
    return count;
}

/* Each waiter gets the addresses themselves: the first one may fail with all of them at once, and
 * the backend then forgets them. */
static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
    struct lookup *lookup = container_of(request, struct lookup, request);
    struct address addresses[BACKEND_ADDRESSES];
    size_t count = status == 0 ? copy_addresses(found, addresses) : 0;
    uv_freeaddrinfo(found);
    if (count > 0) {
        backend_store_addresses(lookup->backend, uv_now(request->loop), addresses, count);
    } else if (status == 0) {
        status = UV_EAI_NODATA;
    }
    list_remove(&lookup->link);
    while (!list_is_empty(&lookup->waiting)) {
        struct lookup_waiter *waiter =
            container_of(lookup->waiting.next, struct lookup_waiter, link);
        list_remove(&waiter->link);
        waiter->done(waiter, status, addresses, count);
    }
    free(lookup);
}

static struct lookup *find(struct lookups *lookups, const struct backend *backend) {
    for (struct list *l = lookups->under_way.next; l != &lookups->under_way; l = l->next) {
        struct lookup *lookup = container_of(l, struct lookup, link);
        if (lookup->backend == backend) {
            return lookup;
        }
    }
    return NULL;
}

static int start(struct lookups *lookups, struct backend *backend, struct lookup **result) {
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return UV_ENOMEM;
    }
    char port[8];
    snprintf(port, sizeof port, "%u", backend_port(backend));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    lookup->backend = backend;
    list_init(&lookup->waiting);
    int rc = uv_getaddrinfo(lookups->loop, &lookup->request, on_resolved, backend_host(backend),
                            port, &hints);
    if (rc != 0) {
        free(lookup);
        return rc;
    }
    list_append(&lookups->under_way, &lookup->link);
    *result = lookup;
    return 0;
}

int lookup_wait(struct lookups *lookups, struct backend *backend, struct lookup_waiter *waiter) {
    struct lookup *lookup = find(lookups, backend);
    int rc = lookup != NULL ? 0 : start(lookups, backend, &lookup);
    if (rc == 0) {
        list_append(&lookup->waiting, &waiter->link);
    }
    return rc;
}

void lookup_cancel(struct lookup_waiter *waiter) {
    list_remove(&waiter->link);
}

void lookups_close(struct lookups *lookups) {
    for (struct list *l = lookups->under_way.next; l != &lookups->under_way; l = l->next) {
        uv_cancel((uv_req_t *)&container_of(l, struct lookup, link)->request);
    }
}
