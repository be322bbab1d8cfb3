/* What keeps the memory of the process from other processes and off disks. */
#ifndef POSTERN_SERVER_SECRECY_H
#define POSTERN_SERVER_SECRECY_H

/* Before the first key is read: no core files, and no other process of the same user may trace this
 * one or read its memory (prctl(2), PR_SET_DUMPABLE; root still may). As much memory as the hard
 * limit allows may be locked. In a program that is built with sanitizers the process stays
 * traceable, since the leak detector traces it. */
void secrecy_begin(void);

/* core_dumps = on: core files up to the hard limit, and tracing by the same user. After a change of
 * user, which ends this. */
void secrecy_allow_dumps(void);

#endif
