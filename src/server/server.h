/* The whole program between main's arguments and its exit code.
 *
 * server_run starts the parts in order (loop and signals, the first runtime, sockets, worker
 * threads), connects them, runs the loop until they have stopped, and gives everything back in
 * reverse. */
#ifndef POSTERN_SERVER_SERVER_H
#define POSTERN_SERVER_SERVER_H

#include "server/source.h"

#include <stdbool.h>

/* As in postern(8). */
enum server_exit {
    SERVER_DONE = 0,
    SERVER_UNUSABLE = 1,
    SERVER_WRONG_USE = 2,
    SERVER_CANNOT_RUN = 3
};

/* Serves until SIGTERM or SIGINT, or until another process has taken over; with `takes_over`, what
 * the Postern serves that listens at the configuration's `takeover`, in its place. The source stays
 * the caller's and must stay as it is. */
enum server_exit server_run(const struct server_source *source, bool takes_over);

/* Loads all that a start or a reload would load, and prints to standard output what would be
 * served. */
enum server_exit server_check(const struct server_source *source);

#endif
