"""What the host takes away from the processors of a virtual machine.

    pauses.py [SECONDS]

All processors are kept busy, and each looks at the clock all the time. Where it moves by more than
0.3 ms from one look to the next, something else had the processor: on an idle machine that is the
host. Percentiles of latencies above 100 % minus that share say nothing about a proxy.
"""

import json
import os
import subprocess
import sys
import time

LEAST = 0.0003  # seconds; the kernel's own interrupts take less


def watch(processor, seconds):
    """(seconds lost, seconds of the longest pause) of this processor. Prints a line when it begins."""
    os.sched_setaffinity(0, {processor})
    lost = longest = 0.0
    last = time.monotonic()
    end = last + seconds
    print("watching", flush=True)
    while last < end:
        now = time.monotonic()
        if now - last > LEAST:
            lost += now - last
            longest = max(longest, now - last)
        last = now
    return lost, longest


def pauses(seconds=3):
    """{"lost": share of the time, "longest": milliseconds}, of all processors together."""
    processors = sorted(os.sched_getaffinity(0))
    watchers = [subprocess.Popen([sys.executable, __file__, str(seconds), str(processor)],
                                 stdout=subprocess.PIPE) for processor in processors]
    seen = [json.loads(watcher.communicate()[0].splitlines()[1]) for watcher in watchers]
    return {"lost": sum(lost for lost, _ in seen) / (seconds * len(processors)),
            "longest": 1000 * max(longest for _, longest in seen)}


def main(arguments):
    seconds = float(arguments[0]) if arguments else 3
    if len(arguments) == 2:
        print(json.dumps(watch(int(arguments[1]), seconds)))
    else:
        print("the machine took {:.2%} of the time, at most {:.1f} ms at once".format(
            *pauses(seconds).values()))


if __name__ == "__main__":
    main(sys.argv[1:])
