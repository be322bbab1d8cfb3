/* Connections that stay: what they exchange, and what it costs to hold them. */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include "client.h"
#include "latency.h"

struct fleet;

struct fleet *fleet_new(struct load *load);

/* Adds count connections, options.inflight at a time; each has pinged the backend afterwards. */
void fleet_open(struct fleet *f, unsigned count);

/* Echoes count messages of `size` bytes, inflight under way at once, over all connections in
 * turn. */
void fleet_messages(struct fleet *f, uint64_t count, size_t size, unsigned inflight);

/* Echoes messages at a fixed rate, over all connections in turn. A message's time counts from when
 * it was due, not from when it could be sent, so that a stall is felt by all it delays. */
void fleet_paced(struct fleet *f, uint64_t per_second, uint64_t count, size_t size,
                 struct latency *latency);

/* Every connection takes or brings len bytes, at once. */
void fleet_upload(struct fleet *f, uint64_t len, uint32_t write_size);
void fleet_download(struct fleet *f, uint64_t len, uint32_t write_size);

/* Ends all connections; the proxy must have held each until now. */
void fleet_close(struct fleet *f);

unsigned fleet_size(const struct fleet *f);

#endif
