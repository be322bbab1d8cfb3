/* Files that are mounted by themselves, as a container's may be. */
#ifndef POSTERN_SERVER_MOUNTED_FILE_H
#define POSTERN_SERVER_MOUNTED_FILE_H

#include <stdbool.h>

/* Whether the file has no name any more and is in sight because it is mounted: it was replaced or
 * removed where its name was. False before Linux 5.8, which does not say what a mount is. */
bool mounted_file_is_orphan(const char *file);

#endif
