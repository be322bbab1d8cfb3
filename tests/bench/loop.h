/* Between client.c and the epoll loop. */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include "client.h"

/* EPOLLIN or EPOLLOUT, or both. */
void loop_watch(struct client *c, uint32_t events);

/* client.c's: the socket is readable, writable or broken. */
void client_event(struct client *c, bool writable);

#endif
