/* Noticing that certificate files changed, where nobody can signal us.
 *
 * By stat once a second, because it sees what notification misses: symlinks that are swapped, files
 * replaced by rename, mounts of every kind; and has no limits to run into. Symlinks are followed.
 * The caller looks every second with watch_look and, when told that all have been still for a
 * second after a change, reads them and says with watch_read how that went. Files that were caught
 * half written are tried again for a while before the caller is told to give up until the next
 * change. */
#ifndef POSTERN_SERVER_WATCH_H
#define POSTERN_SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_STILL_MS = 1000, WATCH_RETRY_MS = 10000 };

struct watch;

struct watch *watch_new(void) __attribute__((warn_unused_result));
void watch_free(struct watch *watch); /* NULL is fine */

/* Names the files anew: watch_clear, then watch_add for each (the same may come twice), then
 * watch_baseline, which takes their present state as the one that is in use. */
void watch_clear(struct watch *watch);
bool watch_add(struct watch *watch, const char *file) __attribute__((warn_unused_result));
void watch_baseline(struct watch *watch);

/* Around a reading that will name the files anew: watch_snapshot before it; watch_has_changed after
 * it tells whether some changed meanwhile, so that nobody knows which state was read; then, with
 * the new names settled, watch_recheck has them read once more when they have been still. */
void watch_snapshot(struct watch *watch, uint64_t now_ms);
bool watch_has_changed(struct watch *watch) __attribute__((warn_unused_result));
void watch_recheck(struct watch *watch, uint64_t now_ms);

/* Stats all files. True: they differ from what is in use and have been still long enough; read them
 * now. */
bool watch_look(struct watch *watch, uint64_t now_ms) __attribute__((warn_unused_result));

enum watch_verdict {
    WATCH_GOOD,   /* in use from now on, if the files were still while they were read */
    WATCH_AGAIN,  /* they changed under the reader, or may be half written: watch_look tells when */
    WATCH_GIVE_UP /* refused for WATCH_RETRY_MS: say so once; nothing more until they change again
                   */
};

/* After the reading that watch_look asked for. */
enum watch_verdict watch_read(struct watch *watch, bool good, uint64_t now_ms)
    __attribute__((warn_unused_result));

#endif
