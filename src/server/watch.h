/* Noticing that certificate files have changed, where no signal can be sent.
 *
 * By stat once a second, because that sees what notification misses: symlinks that are swapped,
 * files replaced by rename, mounts of every kind; and because it has no limits of its own. Symlinks
 * are followed.
 *
 * A watch is about one set of files: watch_new, watch_add for each, watch_baseline. The caller
 * calls watch_look every second; when all files have been still for a second after a change, it
 * reads them. If all is well with them it makes a watch of the files that are now in use; if not it
 * calls watch_give_up, because files may be caught half written, and are then worth further
 * attempts. */
#ifndef POSTERN_SERVER_WATCH_H
#define POSTERN_SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_STILL_MS = 1000, WATCH_RETRY_MS = 10000 };

struct watch;

struct watch *watch_new(void) __attribute__((warn_unused_result)); /* NULL without memory */
void watch_free(struct watch *watch);                              /* NULL is fine */

/* Adds a file, by name, which need not exist; the same may come twice. False without memory. */
bool watch_add(struct watch *watch, const char *file) __attribute__((warn_unused_result));

/* Takes the present state of all files as the one that is in use. */
void watch_baseline(struct watch *watch);

/* Stats all files. True: they differ from what is in use and have been still long enough; read them
 * now. */
bool watch_look(struct watch *watch, uint64_t now_ms) __attribute__((warn_unused_result));

/* The next file that was replaced or removed, as any call here that looks has seen, but stays in
 * sight because it is mounted by itself: its link count fell to 0. Its successor cannot be seen.
 * Each such file once, then NULL. That a file is like this is no change to watch_look. */
const char *watch_next_orphan(struct watch *watch);

/* At the start: looks for files to which that had happened before (mounted_file.h says where it
 * can be seen). */
void watch_find_orphans(struct watch *watch);

/* After watch_look, when the files could not be used. False: they have changed meanwhile, or were
 * refused for less than WATCH_RETRY_MS; watch_look reports when to read them again. True: the
 * refusal is to be reported, and watch_look returns false until they change. */
bool watch_give_up(struct watch *watch, uint64_t now_ms) __attribute__((warn_unused_result));

/* Before the files are read for another reason than watch_look: what has changed until then is not
 * forgotten if the reading fails. */
void watch_snapshot(struct watch *watch, uint64_t now_ms);

/* After the files were read, on a watch whose baseline was taken before. True: some have changed
 * since, so it is unknown which state was read, and watch_recheck has them read once more when they
 * have been still. */
bool watch_has_changed(struct watch *watch) __attribute__((warn_unused_result));
void watch_recheck(struct watch *watch, uint64_t now_ms);

#endif
