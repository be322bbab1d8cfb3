/* What the system says of this process: memory, descriptors, processor time. */
#ifndef POSTERN_SERVER_PROCESS_STATS_H
#define POSTERN_SERVER_PROCESS_STATS_H

#include <dirent.h>
#include <stdint.h>

/* Embedded; the fields are process_stats.c's. For one thread at a time. Files of /proc are opened
 * once, as a sandbox may forbid it later. */
struct process_source {
    int statm;        /* -1: not to be had */
    DIR *descriptors; /* NULL: likewise */
    uint64_t counted_at_ns, counted;
    int64_t started; /* seconds since 1970 */
};

void process_stats_open(struct process_source *source);
void process_stats_close(struct process_source *source);

/* Others read it. What is not known is 0. */
struct process_stats {
    uint64_t resident_bytes, virtual_bytes;
    uint64_t descriptors; /* counted once a second at most, where the kernel does not count them */
    uint64_t max_descriptors;
    double cpu_seconds;
    int64_t started; /* when process_stats_open was called */
};

struct process_stats process_stats_read(struct process_source *source);

#endif
