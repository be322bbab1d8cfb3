/* The service manager: notifications to it and sockets from it, as in sd_notify(3) and
 * sd_listen_fds(3). Without a service manager no call does anything. */
#ifndef POSTERN_SERVER_SYSTEMD_H
#define POSTERN_SERVER_SYSTEMD_H

#include "core/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sends "READY=1\nSTATUS=..." to NOTIFY_SOCKET. What cannot be delivered is dropped, because a
 * service manager that does not listen must not stop the service. */
void systemd_send(const char *state);

/* Whether its socket has an abstract address (unix(7)), as of managers that are not systemd. */
bool systemd_is_abstract(void);

/* Sends RELOADING=1 with MONOTONIC_USEC, which systemd 253 requires. */
void systemd_reloading(void);

/* How often WATCHDOG=1 is expected, in milliseconds; 0: not at all. */
uint64_t systemd_watchdog_ms(void);

/* The number of inherited sockets (LISTEN_FDS, LISTEN_PID): descriptors from SYSTEMD_FIRST_SOCKET
 * on, which are made close-on-exec. 0 if they are not for this process. */
size_t systemd_inherited_sockets(void);
enum { SYSTEMD_FIRST_SOCKET = 3 };

/* The name of the inherited socket with that index (LISTEN_FDNAMES); "" if it has none. Names have
 * at most 255 characters (sd_listen_fds_with_names(3)). */
enum { SYSTEMD_NAME_SIZE = 256 };
void systemd_inherited_name(size_t index, char name[SYSTEMD_NAME_SIZE]);

/* Gives the manager listening sockets of one address to keep, so that they survive a restart of the
 * service: FDSTORE=1. The name, by which they come back, begins with SYSTEMD_STORED. A manager that
 * does not store (FileDescriptorStoreMax= is 0) closes them. True if the manager was sent them. */
#define SYSTEMD_STORED "listen-"
bool systemd_store_sockets(const struct address *address, const int *fds, size_t count);

/* The manager closes what it has stored for that address. */
void systemd_forget_socket(const struct address *address);

#endif
