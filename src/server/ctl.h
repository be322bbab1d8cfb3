/* `postern ctl`: asks a running Postern by its admin socket, and prints the answer. */
#ifndef POSTERN_SERVER_CTL_H
#define POSTERN_SERVER_CTL_H

#define CTL_DEFAULT_FILE "/etc/postern/postern.conf"

/* As in postern-ctl(8). */
enum ctl_exit {
    CTL_DONE = 0,      /* done; of status: ready; of health: alive */
    CTL_REFUSED = 1,   /* the reload was refused; of status: not ready; of health: not alive */
    CTL_WRONG_USE = 2, /* the command line */
    CTL_NO_ANSWER = 3  /* nobody answers, or not as expected */
};

/* argv[0] is "ctl". Answers go to standard output, what is wrong to standard error. */
enum ctl_exit ctl_run(int argc, char **argv);

#endif
