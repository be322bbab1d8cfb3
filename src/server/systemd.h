/* What the service manager is told, and what it hands over: sd_notify(3) and sd_listen_fds(3), the
 * few lines of them that Postern needs. Without a service manager every call is a quiet no-op. */
#ifndef POSTERN_SERVER_SYSTEMD_H
#define POSTERN_SERVER_SYSTEMD_H

#include <stddef.h>
#include <stdint.h>

/* Sends "READY=1\nSTATUS=..." to NOTIFY_SOCKET. What cannot be delivered is dropped: a service
 * manager that does not listen must not stop the service. */
void systemd_send(const char *state);

/* RELOADING=1 with the MONOTONIC_USEC that systemd 253 wants beside it. */
void systemd_reloading(void);

/* How often WATCHDOG=1 is expected, in milliseconds; 0: not at all. */
uint64_t systemd_watchdog_ms(void);

/* Sockets that were handed over (LISTEN_FDS, LISTEN_PID): descriptors 3 to 3 + count - 1, which are
 * made close-on-exec. 0 where they are not meant for this process. */
size_t systemd_inherited_sockets(void);
enum { SYSTEMD_FIRST_SOCKET = 3 };

#endif
