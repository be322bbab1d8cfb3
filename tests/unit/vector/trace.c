/* Runs a kernel as the library has it, one instruction at a time, with different secrets, and
 * compares where each instruction is and which addresses it uses. For x86-64: the trap flag of the
 * processor makes it raise SIGTRAP after each instruction.
 *
 * usage: trace TABLE STEPS. The table has a line for each operand in memory of an instruction of
 * this program: its address, base register, index register, scale, displacement; registers as
 * numbers of `registers` below, -1 for none and -2 for one that it does not know. After STEPS
 * instructions the rest of a run is not followed.
 *
 * A step takes 4 to 20 us. So there are two runs, and of a long loop not each round is followed
 * (subject.h); with POSTERN_TEST_ALL set there are four runs, and everything is. */
#include "subject.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <vector/kernels.h>

enum { NONE = -1, UNKNOWN = -2 };
enum { MOST_STEPS = 8 << 20, MOST_OPERANDS = 1 << 20, ALTERNATE_STACK = 1 << 16 };
enum { TRAP_FLAG = 0x100 };

struct operand {
    unsigned long at;
    long displacement;
    int base, index, scale;
};

struct step {
    uint64_t at, addresses;
};

static struct operand *operands;
static size_t operand_count;

/* Run 0 is kept, the others are compared with it. */
static struct step *first;
static size_t first_steps, steps, most_steps;
static unsigned run;
static bool running, beginning_is_over, everything;

/* The first step that was not alike, for the report when the run is over. */
static struct {
    bool found, is_way;
    size_t after;
    uint64_t at;
} difference;

static uint64_t undecodable;

void subject_mark_secret(void *at, size_t len) {
}

/* --- operands --- */

static const int registers[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI,
                                REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};

static bool read_table(const char *path) {
    FILE *file = fopen(path, "r");
    operands = calloc(MOST_OPERANDS, sizeof *operands);
    if (file == NULL || operands == NULL) {
        return false;
    }
    struct operand o;
    while (operand_count < MOST_OPERANDS && fscanf(file, "%lx %d %d %d %ld", &o.at, &o.base,
                                                   &o.index, &o.scale, &o.displacement) == 5) {
        operands[operand_count++] = o;
    }
    bool whole = feof(file) != 0 && operand_count > 0;
    fclose(file);
    return whole;
}

/* The first operand of the instruction there or after it; the table is in order. */
static size_t find_operand(uint64_t at) {
    size_t low = 0, high = operand_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (operands[middle].at < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t value_of(const greg_t *values, int number) {
    return number == NONE ? 0 : (uint64_t)values[registers[number]];
}

/* The stack pointer stands for what push, pop, call and ret use. */
static struct step step_of(const greg_t *values) {
    struct step step = {(uint64_t)values[REG_RIP], (uint64_t)values[REG_RSP]};
    for (size_t i = find_operand(step.at); i < operand_count && operands[i].at == step.at; i++) {
        const struct operand *o = &operands[i];
        if (o->base == UNKNOWN || o->index == UNKNOWN) {
            undecodable = step.at;
            continue;
        }
        uint64_t address = value_of(values, o->base) +
                           value_of(values, o->index) * (uint64_t)o->scale +
                           (uint64_t)o->displacement;
        step.addresses = (step.addresses ^ address) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
    return step;
}

/* --- following it --- */

/* What is about to be executed. */
static void on_trap(int number, siginfo_t *info, void *context) {
    greg_t *values = ((ucontext_t *)context)->uc_mcontext.gregs;
    bool over = steps == most_steps || difference.found;
    bool loops = !everything && !beginning_is_over && steps == subject.beginning && steps > 0;
    if (over || loops) {
        values[REG_EFL] &= ~TRAP_FLAG;
        beginning_is_over = true;
        running = !over;
        return;
    }
    struct step step = step_of(values);
    if (run == 0) {
        first[steps] = step;
    } else if (steps >= first_steps || first[steps].at != step.at ||
               first[steps].addresses != step.addresses) {
        difference.found = true;
        difference.is_way = steps >= first_steps || first[steps].at != step.at;
        difference.after = steps;
        difference.at = step.at;
    }
    steps++;
}

/* On a stack of its own: below the kernel's stack pointer nothing may change. */
static bool catch_traps(void) {
    static char stack[ALTERNATE_STACK];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    return sigaltstack(&alternate, NULL) == 0 && sigaction(SIGTRAP, &action, NULL) == 0;
}

/* Below the stack pointer are 128 bytes that a function may use (System V ABI). */
static void set_trap_flag(bool on) {
    if (on) {
        __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"
                         "lea 128(%%rsp), %%rsp" ::
                             : "cc", "memory");
    } else {
        __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
                         "lea 128(%%rsp), %%rsp" ::
                             : "cc", "memory");
    }
}

void subject_follow(void) {
    if (running) {
        set_trap_flag(true);
    }
}

static void follow(void) {
    steps = 0;
    running = true;
    beginning_is_over = false;
    set_trap_flag(true);
    subject.run();
    set_trap_flag(false);
    running = false;
}

static int compare(void) {
    static const unsigned numbers[] = {0, 2, 1, 3};
    unsigned runs = everything ? 4 : 2;
    subject.prepare(2);
    subject.run(); /* what happens only once is over */
    for (run = 0; run < runs; run++) {
        subject.prepare(numbers[run]);
        follow();
        if (run == 0) {
            first_steps = steps;
        }
        if (difference.found || steps != first_steps) {
            printf("%s: run %u differs from run 0 after %zu instructions, in the %s at %#lx\n",
                   subject.name, run, difference.after,
                   difference.is_way ? "way taken" : "address used", (unsigned long)difference.at);
            return SUBJECT_DIFFERS;
        }
    }
    if (undecodable != 0 || steps == 0 || steps == MOST_STEPS) {
        printf("%s: nothing, or too much, or an operand at %#lx that is not understood\n",
               subject.name, (unsigned long)undecodable);
        return EXIT_FAILURE;
    }
    printf("%s: %u runs with different secrets, %zu instructions each, all alike\n", subject.name,
           runs, first_steps);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    if ((postern_kernels_offered() & subject.kernel) == 0) {
        puts("skipped: this processor cannot execute the kernel");
        return SUBJECT_SKIPPED;
    }
    first = calloc(MOST_STEPS, sizeof *first);
    if (argc != 3 || first == NULL || !read_table(argv[1]) || !catch_traps()) {
        puts("trace: no table, no memory or no signals");
        return EXIT_FAILURE;
    }
    most_steps = strtoul(argv[2], NULL, 10);
    most_steps = most_steps < MOST_STEPS ? most_steps : MOST_STEPS;
    everything = getenv("POSTERN_TEST_ALL") != NULL;
    if (!subject.self_test()) {
        puts("the kernel computes wrongly");
        return EXIT_FAILURE;
    }
    return compare();
}
