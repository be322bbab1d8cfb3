#include "server/mounted_file.h"

/* The kernel's own headers: musl has the call since 1.2.5, and none of its attributes. The C
 * library's <sys/stat.h> would declare the structure a second time. */
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000 /* headers before 5.8 */
#endif

/* A file without a name may also be a descriptor opened by its name in /proc; only the root of a
 * mount counts. */
bool mounted_file_is_orphan(const char *file) {
    struct statx st;
    return syscall(SYS_statx, AT_FDCWD, file, 0, STATX_NLINK, &st) == 0 && st.stx_nlink == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}
