/* What the load generator asks of the backend, inside the byte stream, so that every proxy needs
 * one backend address only. A connection starts idle; an idle connection takes one header:
 *
 *   'p'                      answer 'p'; idle again
 *   'e'                      from here on echo every byte, for good
 *   'u' struct service_job   take `length` bytes of the stream `seed`, compare each, answer 'k';
 *                            idle again
 *   'd' struct service_job   send `length` bytes of the stream `seed` in writes of `write_size`;
 *                            idle again
 *
 * Both ends run on one machine, so numbers travel in its byte order. */
#ifndef BENCH_SERVICE_H
#define BENCH_SERVICE_H

#include <stdint.h>

enum {
    SERVICE_PING = 'p',
    SERVICE_ECHO = 'e',
    SERVICE_UP = 'u',
    SERVICE_DOWN = 'd',
    SERVICE_TAKEN = 'k',
};

struct service_job {
    uint64_t length;
    uint32_t seed;
    uint32_t write_size; /* 1..PATTERN_RUN */
};

#endif
