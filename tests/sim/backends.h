/* Names and probes of backends, as a test wants them: they take the place of broker/lookup.c and
 * broker/probe.c. */
#ifndef POSTERN_SIM_BACKENDS_H
#define POSTERN_SIM_BACKENDS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a name is being looked up; the lookup ends, with some addresses or with a libuv code.
 * Within the loop (on_wake). */
bool sim_lookup_is_under_way(void);
void sim_lookup_end(int status);

/* How many backends are probed; a probe finds its backend up. */
size_t sim_probes(void);
void sim_probe_succeed(void);

#endif
