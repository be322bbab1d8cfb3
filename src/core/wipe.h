/* What computations with secrets leave where no variable has it any more. */
#ifndef POSTERN_CORE_WIPE_H
#define POSTERN_CORE_WIPE_H

/* Overwrites 128 KB below the caller's frame: more than loading a key takes. The computation must
 * be in a function that is not inlined into the caller. */
void wipe_stack(void);

/* Overwrites 32 KB below the caller's frame, in 0.15 us. That is more than one turn of a loop uses:
 * libuv's own frame holds 12 KB of events, and the calls below it need less than the rest. */
void wipe_frames(void);

/* Clears the vector registers. Copies and cryptography use them, and the look-up of a function of
 * a shared library for the first time writes all of them to the stack (the dynamic linker), as does
 * the kernel for a signal. A few nanoseconds. Nothing where the processor's are not known here. */
void wipe_registers(void);

#endif
