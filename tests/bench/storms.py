#!/usr/bin/env python3
"""Good clients while thousands of others attack: is anybody refused, and how long do they wait?

    storms.py --postern BUILD/postern [--peers haproxy,nginx] [--only NAMES] [--out FILE]

500 devices are connected and exchange 2,000 messages a second; visitors connect 50 times a second,
from another address than the crowd (crowd.c). Proxy and load have processors of their own. Each storm
starts a fresh proxy, is measured quiet first, and ends with a look at what the proxy has given back.
Ends with 1 when Postern has refused a visitor.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import machine
from certificates import Certificate
from proxies import HAProxy, Nginx, Postern
from stand import Failure, Stand

RATE = 2000     # messages per second
MESSAGE = 64
VISITS = 50     # per second
AFTER = 14      # seconds until every time limit of the proxies has passed


class StrictHAProxy(HAProxy):
    """It has no time limit for handshakes alone; a client's silence is the nearest."""

    def command(self, job):
        return self.stricter(super().command(job), "timeout client 1h", "timeout client 10s")

    @staticmethod
    def stricter(command, lax, strict):
        path = Path(command[-1])
        text = path.read_text()
        assert lax in text
        path.write_text(text.replace(lax, strict))
        return command


class StrictNginx(Nginx):
    def command(self, job):
        return StrictHAProxy.stricter(super().command(job), "proxy_timeout 1h;",
                                      "proxy_timeout 1h;\n    ssl_handshake_timeout 10s;")


PEERS = [StrictHAProxy(), StrictNginx()]


class Storm:
    """`crowds`: what bench-crowd is given (kind, how many at a time, how many in all, rate,
    addresses); `seconds`: how long the good clients are watched."""

    def __init__(self, name, crowds, seconds):
        self.name = name
        self.crowds = crowds
        self.seconds = seconds


def storms(quick):
    made = []
    for count in (60,) if quick else (514, 5000, 50000):
        for sources in (1, 1000):
            for rate in (500, 0):
                pace = f"{rate} a second" if rate else "unpaced"
                held = min(count, 15000)
                seconds = 1 if quick else max(10, count / rate) if rate else 10
                made.append(Storm(f"{count} hellos, {pace}, {sources} address" + "es" * (sources > 1),
                                  [("hello", held, count, rate, sources)], seconds))
    few = 50 if quick else 1
    made.append(Storm("all kinds at once", [
        ("silent", 10000 // few, 0, 5000, 1000), ("drip", 2000 // few, 0, 1000, 1000),
        ("idle", 1000 // few, 0, 500, 1000), ("updates", 32 // min(few, 16), 0, 32, 32)],
        1 if quick else 20))
    return made


def descriptors(pid):
    return sum(len(os.listdir(f"/proc/{member}/fd")) for member in machine.family(pid))


def talk(devices, seconds):
    devices.say(f"paced {RATE} {int(RATE * seconds)} {MESSAGE}")


def watch(devices, visitors, seconds):
    """What the good clients had to wait for, in microseconds."""
    talk(devices, seconds)
    came = visitors.ask(str(int(VISITS * seconds)))
    talked = devices.answer()
    if talked["done"] != int(RATE * seconds):
        raise Failure(f"{talked['done']:.0f} messages came back")
    return {"visits": came["done"], "failed": came["failed"],
            **{f"connect.{part}": came[part] for part in ("p50", "p99", "max")},
            **{f"message.{part}": talked[part] for part in ("p50", "p99", "max")}}


def measure(stand, storm, quick):
    devices = stand.load(inflight=4, tls="1.3")
    devices.ask(f"open {50 if quick else 500}")
    visitors = stand.visitors(VISITS)
    for rank, good in enumerate((visitors, devices, stand.backend), 1):
        machine.Processors.prefer(good.process.pid, rank)
    watch(devices, visitors, 1)
    quiet = watch(devices, visitors, 1 if quick else 10)
    before = stand.memory(), descriptors(stand.process.pid)
    stand.keep_awake(stand.processors.proxy)  # the crowd does that for the others
    crowds = [stand.crowd(*crowd) for crowd in storm.crowds]
    spent, start = stand.spent(), time.monotonic()
    if storm.crowds[0][2] == 0:
        time.sleep(1 if quick else 4)
    loud = watch(devices, visitors, storm.seconds)
    busy = (stand.spent() - spent) / (time.monotonic() - start)
    seen = [crowd.ask("stats") for crowd in crowds]
    peak = stand.memory(), descriptors(stand.process.pid)
    for crowd in crowds:
        crowd.stop()
    stand.keep_awake(stand.processors.proxy + stand.processors.load)
    talk(devices, 1 if quick else AFTER)  # HAProxy would end silent ones
    devices.answer()
    after = stand.memory(), descriptors(stand.process.pid)
    watch(devices, visitors, 1)
    devices.ask("close")
    row = {"busy": 100 * busy, "opened": sum(s["opened"] for s in seen),
           "open": sum(s["open"] for s in seen)}
    for name, values in (("quiet", quiet), ("storm", loud)):
        row.update({f"{name}.{key}": value for key, value in values.items()})
    for name, (memory, files) in (("before", before), ("peak", peak), ("after", after)):
        row.update({f"{name}.memory": memory, f"{name}.files": files})
    return row


HEAD = ("storm", "proxy", "visitors served", "connect p50, ms", "p99", "worst", "p99 to quiet",
        "message p99, ms", "worst", "p99 to quiet", "memory before, peak, after, MB",
        "descriptors before, peak, after")


def cells(storm, proxy, row):
    served = f"{row['storm.visits']:.0f} of {row['storm.visits'] + row['storm.failed']:.0f}"
    sizes = ", ".join(f"{row[f'{when}.memory'] / 1e6:.1f}" for when in ("before", "peak", "after"))
    files = ", ".join(f"{row[f'{when}.files']:.0f}" for when in ("before", "peak", "after"))
    ratios = {what: row[f"storm.{what}.p99"] / (row[f"quiet.{what}.p99"] or 1)
              for what in ("connect", "message")}
    return (storm.name, proxy.name, served,
            *(f"{row[f'storm.connect.{part}'] / 1000:.2f}" for part in ("p50", "p99", "max")),
            f"{ratios['connect']:.1f}",
            *(f"{row[f'storm.message.{part}'] / 1000:.2f}" for part in ("p99", "max")),
            f"{ratios['message']:.1f}", sizes, files)


def table_line(values):
    return "| " + " | ".join(values) + " |"


def main():
    here = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here.add_argument("--postern", metavar="PATH", help="the program; without it, peers only")
    here.add_argument("--tools", metavar="FOLDER", type=Path,
                      help="where bench-crowd is; default: tests/bench beside the program")
    here.add_argument("--peers", default="", metavar="NAMES", help="haproxy, nginx")
    here.add_argument("--only", metavar="NAMES", default="",
                      help="storms whose names have one of these in them, separated by +")
    here.add_argument("--quick", action="store_true", help="a smoke run: tiny, no judgement")
    here.add_argument("--out", metavar="FILE", type=Path, help="results as JSON, too")
    options = here.parse_args()
    if options.postern and not options.tools:
        options.tools = Path(options.postern).resolve().parent / "tests" / "bench"
    proxies = [Postern(options.postern)] if options.postern else []
    proxies += [p for p in PEERS if p.name.lower() in options.peers.split(",") and p.present()]
    results, wrong = {}, False
    print(table_line(HEAD), table_line(["---"] * len(HEAD)), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        certificate = Certificate(Path(folder), "ecdsa")
        for storm in storms(options.quick):
            for proxy in proxies:
                if not any(part in storm.name for part in options.only.split("+")):
                    continue
                try:
                    with Stand(options.tools, proxy, certificate) as stand:
                        row = measure(stand, storm, options.quick)
                except Failure as failure:
                    print(table_line((storm.name, proxy.name, str(failure).splitlines()[0])))
                    wrong = wrong or proxy.name == "Postern"
                    continue
                results[f"{storm.name}/{proxy.name}"] = row
                wrong = wrong or (proxy.name == "Postern" and row["storm.failed"] > 0)
                print(table_line(cells(storm, proxy, row)), flush=True)
    if options.out:
        options.out.write_text(json.dumps({"facts": machine.facts(), "rows": results}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
