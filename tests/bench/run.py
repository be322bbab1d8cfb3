#!/usr/bin/env python3
"""Compares Postern with every peer that is installed: the same work in turns, one table.

    run.py --postern BUILD/postern [--out results.json]
    run.py --show results.json [--markdown | --svg FILE]

Processor time of the proxy is the main figure. How it is measured and what it does not say:
docs/performance.md. Ends with 1 when a byte, a count or a connection was wrong.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import machine
import picture
import report
from certificates import Certificate, KINDS
from pauses import pauses
from proxies import PEERS, Postern, openssl_in, parse_peer
from stand import Failure, NotOffered, Stand
from work import Size, measurements


def peer(text):
    try:
        return parse_peer(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(wrong) from wrong


def parse():
    here = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here.add_argument("--postern", metavar="PATH", help="the program; without it, peers only")
    here.add_argument("--tools", metavar="FOLDER", type=Path,
                      help="where bench-load is; default: tests/bench beside the program")
    here.add_argument("--peers", metavar="NAMES",
                      help="which of haproxy, nginx, hitch, stunnel, ghostunnel and mosquitto, or "
                           "none; those not installed are left out. Default: all, but none with "
                           "--peer")
    here.add_argument("--peer", metavar="NAME=PROGRAM[,LIBDIR]", action="append", default=[],
                      type=peer, help="any build of one of these, with its shared libraries; "
                                      "may be given several times")
    here.add_argument("--client-libdir", metavar="LIBDIR",
                      help="shared libraries for the load generator: an OpenSSL that has the "
                           "hybrid group, say")
    here.add_argument("--only", metavar="NAMES", help="measurements whose names start so")
    here.add_argument("--rounds", type=int, default=5)
    here.add_argument("--quick", action="store_true",
                      help="a smoke run: everything once, tiny, no judgement of times")
    here.add_argument("--list", action="store_true", help="names of the measurements")
    here.add_argument("--out", metavar="FILE", type=Path, help="results as JSON")
    here.add_argument("--show", metavar="FILE", type=Path, help="the table of an earlier run")
    here.add_argument("--markdown", action="store_true", help="the table for a document")
    here.add_argument("--svg", metavar="FILE", type=Path, help="a picture of the main figures")
    options = here.parse_args()
    if options.postern and not options.tools:
        options.tools = Path(options.postern).resolve().parent / "tests" / "bench"
    if not (options.show or options.list or options.tools):
        here.error("--postern or --tools is needed")
    if options.peers is None:
        options.peers = "none" if options.peer else ",".join(p.name for p in PEERS)
    return options


def chosen_proxies(options):
    wanted = options.peers.lower().split(",")
    proxies = [Postern(options.postern)] if options.postern else []
    for installed in PEERS:
        if installed.name.lower() in wanted and installed.present():
            proxies.append(installed)
        elif installed.name.lower() in wanted:
            print(f"{installed.name} is not installed: left out", file=sys.stderr)
    for given in options.peer:
        if not given.present():
            sys.exit(f"{given.name}: {given.program} cannot be used (for nginx: has it stream?)")
        proxies.append(given)
    return proxies


def chosen_measurements(options):
    every = measurements(Size(options.quick))
    prefixes = tuple(options.only.split(",")) if options.only else ("",)
    return [m for m in every if m.name.startswith(prefixes)]


class Bench:
    def __init__(self, options, proxies, certificates, client):
        self.options = options
        self.proxies = proxies
        self.certificates = certificates
        self.client = client
        self.broker = next((proxy for proxy in proxies if proxy.broker), None)
        self.results = {}
        self.failures = []

    def measure(self, measurement, proxy):
        certificate = self.certificates[measurement.key]
        if proxy.broker and not measurement.broker:
            return {}  # it does nothing that the backend does
        try:
            with Stand(self.options.tools, proxy, certificate, measurement.workers,
                       measurement.together, measurement.hybrid,
                       self.client if measurement.clients else None,
                       self.options.client_libdir,
                       self.broker if measurement.broker else None) as stand:
                return measurement.measure(stand)
        except NotOffered:
            return {measurement.name: None}
        except Failure as failure:
            self.failures.append(f"{measurement.name}, {proxy.name}: {failure}")
            print(f"FAILED {self.failures[-1]}", file=sys.stderr)
            return {}

    def round(self, measurement):
        """Each proxy in turn: what slows the machine for a while slows them all."""
        for proxy in self.proxies:
            for row, value in self.measure(measurement, proxy).items():
                self.results.setdefault(row, {}).setdefault(proxy.name, []).append(value)

    def run(self, work, rounds):
        taken = []
        for number in range(rounds):
            taken.append(pauses())
            for measurement in work:
                if measurement.broker and self.broker is None:
                    continue
                print(f"round {number + 1} of {rounds}: {measurement.name}", file=sys.stderr)
                self.round(measurement)
        libraries = self.options.client_libdir
        return {"machine": machine.facts(openssl_in(libraries) if libraries else None),
                "pauses": {"lost": statistics.median(pause["lost"] for pause in taken),
                           "longest": max(pause["longest"] for pause in taken)},
                "rounds": rounds, "quick": self.options.quick,
                "proxies": {proxy.name: proxy.version() for proxy in self.proxies},
                "brokers": [proxy.name for proxy in self.proxies if proxy.broker],
                "results": self.results}


def measure(options):
    rounds = 1 if options.quick else options.rounds
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        certificates = {kind: Certificate(Path(folder), kind) for kind in KINDS}
        client = Certificate.of_a_client(Path(folder))
        bench = Bench(options, chosen_proxies(options), certificates, client)
        run = bench.run(chosen_measurements(options), rounds)
    return run, bench.failures


def show(options, run):
    if options.svg:
        options.svg.write_text(picture.draw(run))
    elif options.markdown:
        print(report.markdown(run), end="")
    else:
        print(report.text(run), end="")


def main():
    options = parse()
    if options.list:
        print("\n".join(m.name for m in chosen_measurements(options)))
        return 0
    if options.show:
        show(options, json.loads(options.show.read_text()))
        return 0
    run, failures = measure(options)
    if options.out:
        options.out.write_text(json.dumps(run, indent=1) + "\n")
    if options.quick:
        print(f"{len(run['results'])} figures, {len(failures)} failures")
    else:
        show(options, run)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
