/* What must hold of a pool and its sessions between any two turns. */
#ifndef POSTERN_SIM_SWEEP_H
#define POSTERN_SIM_SWEEP_H

/* Lists, counters, descriptors, deadlines and bounds. Aborts when one does not hold. */
void sweep_always(void);

/* The loop has nothing to do: then nobody may be waiting for anything but an event or a deadline.
 */
void sweep_at_rest(void);

#endif
