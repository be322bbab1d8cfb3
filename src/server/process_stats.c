#include "server/process_stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { COUNT_AGAIN_NS = 1000000000 };

void process_stats_open(struct process_source *s) {
    *s = (struct process_source){
        .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC),
        .descriptors = opendir("/proc/self/fd"),
        .started = (int64_t)time(NULL),
    };
}

void process_stats_close(struct process_source *s) {
    if (s->statm >= 0) {
        close(s->statm);
    }
    if (s->descriptors != NULL) {
        closedir(s->descriptors);
    }
}

static void read_memory(const struct process_source *s, struct process_stats *stats) {
    char text[128];
    unsigned long long size, resident, page = (unsigned long long)sysconf(_SC_PAGESIZE);
    ssize_t got = s->statm >= 0 ? pread(s->statm, text, sizeof text - 1, 0) : -1;
    if (got <= 0) {
        return;
    }
    text[got] = '\0';
    if (sscanf(text, "%llu %llu", &size, &resident) == 2) {
        stats->virtual_bytes = size * page;
        stats->resident_bytes = resident * page;
    }
}

/* Since Linux 6.2 the size of the folder is their number. Reading a folder of 100000 takes some
 * ten milliseconds. */
static uint64_t count_descriptors(struct process_source *s) {
    struct stat st;
    uint64_t now_ns = uv_hrtime(), count = 0;
    if (s->descriptors == NULL) {
        return 0;
    }
    if (fstat(dirfd(s->descriptors), &st) == 0 && st.st_size > 0) {
        return (uint64_t)st.st_size;
    }
    if (s->counted_at_ns != 0 && now_ns - s->counted_at_ns < COUNT_AGAIN_NS) {
        return s->counted;
    }
    rewinddir(s->descriptors);
    for (struct dirent *entry; (entry = readdir(s->descriptors)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    s->counted_at_ns = now_ns;
    s->counted = count;
    return count;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

struct process_stats process_stats_read(struct process_source *s) {
    struct process_stats stats = {.started = s->started};
    struct rusage usage;
    struct rlimit limit;
    read_memory(s, &stats);
    stats.descriptors = count_descriptors(s);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        stats.max_descriptors = (uint64_t)limit.rlim_cur;
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        stats.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    }
    return stats;
}
