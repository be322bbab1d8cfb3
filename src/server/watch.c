#include "server/watch.h"

#include "server/mounted_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct state {
    dev_t device;
    ino_t inode;
    nlink_t links; /* 0: no name leads to it any more, but a mount does */
    off_t size;
    struct timespec modified, changed;
};

struct watched {
    char *file;
    struct state in_use, seen;
    bool orphaned; /* and watch_next_orphan has not reported it */
};

struct watch {
    struct watched *files;
    size_t count;
    uint64_t changed_ms;       /* when `seen` last changed */
    uint64_t refused_since_ms; /* the first of the refusals in a row; 0: none */
    bool differs;              /* `seen` from `in_use`, and not given up */
};

/* Of a file that does not exist all zeros. */
static struct state state_of(const char *file) {
    struct stat st;
    struct state state;
    memset(&state, 0, sizeof state);
    if (stat(file, &st) == 0) {
        state.device = st.st_dev;
        state.inode = st.st_ino;
        state.links = st.st_nlink;
        state.size = st.st_size;
        state.modified = st.st_mtim;
        state.changed = st.st_ctim;
    }
    return state;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Losing its last name changes a file's ctime, and nothing that is read. */
static bool is_same(const struct state *a, const struct state *b) {
    bool lost_name = (a->links == 0) != (b->links == 0);
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           is_same_time(&a->modified, &b->modified) &&
           (lost_name || is_same_time(&a->changed, &b->changed));
}

struct watch *watch_new(void) {
    return calloc(1, sizeof(struct watch));
}

void watch_free(struct watch *w) {
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->count; i++) {
        free(w->files[i].file);
    }
    free(w->files);
    free(w);
}

bool watch_add(struct watch *w, const char *file) {
    for (size_t i = 0; i < w->count; i++) {
        if (strcmp(w->files[i].file, file) == 0) {
            return true;
        }
    }
    struct watched *files = realloc(w->files, (w->count + 1) * sizeof *files);
    if (files == NULL) {
        return false;
    }
    w->files = files;
    files[w->count] = (struct watched){.file = strdup(file)};
    if (files[w->count].file == NULL) {
        return false;
    }
    w->count++;
    return true;
}

/* Takes the state of all files; true if any has changed since the last time. */
static bool look_again(struct watch *w) {
    bool changed = false;
    for (size_t i = 0; i < w->count; i++) {
        struct watched *file = &w->files[i];
        struct state now = state_of(file->file);
        if (!is_same(&now, &file->seen)) {
            changed = true;
        } else if (now.links == 0 && file->seen.links > 0) {
            file->orphaned = true;
        }
        file->seen = now;
    }
    return changed;
}

void watch_find_orphans(struct watch *w) {
    for (size_t i = 0; i < w->count; i++) {
        w->files[i].orphaned = mounted_file_is_orphan(w->files[i].file);
    }
}

const char *watch_next_orphan(struct watch *w) {
    for (size_t i = 0; i < w->count; i++) {
        if (w->files[i].orphaned) {
            w->files[i].orphaned = false;
            return w->files[i].file;
        }
    }
    return NULL;
}

static bool is_in_use(const struct watch *w) {
    for (size_t i = 0; i < w->count; i++) {
        if (!is_same(&w->files[i].seen, &w->files[i].in_use)) {
            return false;
        }
    }
    return true;
}

void watch_baseline(struct watch *w) {
    (void)look_again(w);
    for (size_t i = 0; i < w->count; i++) {
        w->files[i].in_use = w->files[i].seen;
    }
    w->differs = false;
    w->refused_since_ms = 0;
}

void watch_snapshot(struct watch *w, uint64_t now_ms) {
    if (look_again(w)) {
        w->changed_ms = now_ms;
        w->differs = !is_in_use(w);
        w->refused_since_ms = w->differs ? w->refused_since_ms : 0;
    }
}

bool watch_has_changed(struct watch *w) {
    return look_again(w);
}

void watch_recheck(struct watch *w, uint64_t now_ms) {
    w->changed_ms = now_ms;
    w->differs = true;
}

bool watch_look(struct watch *w, uint64_t now_ms) {
    watch_snapshot(w, now_ms);
    return w->differs && now_ms - w->changed_ms >= WATCH_STILL_MS;
}

bool watch_give_up(struct watch *w, uint64_t now_ms) {
    if (look_again(w)) {
        w->changed_ms = now_ms;
        w->differs = true;
        return false;
    }
    if (w->refused_since_ms == 0) {
        w->refused_since_ms = now_ms;
    }
    if (now_ms - w->refused_since_ms < WATCH_RETRY_MS) {
        return false;
    }
    w->differs = false;
    w->refused_since_ms = 0;
    return true;
}
