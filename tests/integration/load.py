"""Clients that come at a fixed rate while a test does something to the server.

They run in processes of their own, one for each hundred clients a second, so that neither the test nor
its broker slows them down. This file is their program, too: load.py HOST PORT RATE CA_FILE
"""

import collections
import json
import subprocess
import sys
import threading
import time

from clients import PATIENCE, TlsClient, tls_context


class Load:
    """Each client connects, shakes hands, has a byte echoed and leaves; half of them resume the
    session of an earlier one, by a ticket of TLS 1.2 or 1.3.

    `failures`: what went wrong, whatever it is. `done`: how many were served; `resumed`, of these;
    `full`: how many had a session to resume, and had a full handshake."""

    def __init__(self, address, rate, ca_file):
        self._news = threading.Condition()
        self._reports = collections.defaultdict(dict)
        parts = -(-rate // 100)
        self._processes = [subprocess.Popen(
            [sys.executable, __file__, address[0], str(address[1]), str(rate / parts), ca_file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(parts)]
        self._readers = [threading.Thread(target=self._read, args=(p,)) for p in self._processes]
        for reader in self._readers:
            reader.start()

    def _read(self, process):
        for line in process.stdout:
            with self._news:
                self._reports[process.pid] = json.loads(line)
                self._news.notify_all()

    def _sum(self, what, nothing):
        return sum((report[what] for report in self._reports.values()), nothing)

    def __getattr__(self, name):
        if name not in ("done", "resumed", "full", "failures"):
            raise AttributeError(name)
        with self._news:
            return self._sum(name, [] if name == "failures" else 0)

    def wait(self, more):
        """Until so many further clients were served."""
        with self._news:
            wanted = self._sum("done", 0) + more
            if not self._news.wait_for(lambda: self._sum("done", 0) >= wanted, PATIENCE * 2):
                raise AssertionError(f"{self._sum('done', 0)} of {wanted} clients were served; "
                                     f"{self._sum('failures', [])[:3]}")

    def stop(self):
        """No further clients; returns when the last one has left. May be called twice."""
        for process in self._processes:
            if not process.stdin.closed:
                process.stdin.close()
        for process, reader in zip(self._processes, self._readers):
            process.wait(PATIENCE)
            reader.join(PATIENCE)
            process.stdout.close()


class Clients:
    """One process of it."""

    THREADS = 8

    def __init__(self, address, rate, ca_pem):
        self.address, self.rate, self.ca_pem = address, rate, ca_pem
        self.report = {"done": 0, "resumed": 0, "full": 0, "failures": []}
        self.lock, self.over = threading.Lock(), threading.Event()

    def run(self):
        """Until standard input ends."""
        threads = [threading.Thread(target=self.come, args=(n,)) for n in range(self.THREADS)]
        printer = threading.Thread(target=self.print_reports)
        for thread in [*threads, printer]:
            thread.start()
        sys.stdin.read()
        self.over.set()
        for thread in [*threads, printer]:
            thread.join()
        print(json.dumps(self.report), flush=True)

    def print_reports(self):
        while not self.over.wait(0.05):
            with self.lock:
                print(json.dumps(self.report), flush=True)

    def come(self, number):
        context = tls_context(self.ca_pem, ("1.2", "1.3")[number % 2])
        keeps = number % 4 >= 2
        session, visits, due = None, 0, time.monotonic() + number / self.rate
        while not self.over.wait(max(0, due - time.monotonic())):
            due += self.THREADS / self.rate
            had = session is not None
            try:
                reused, got = self.visit(context, session)
            except Exception as error:  # whatever it was: this client was not served
                with self.lock:
                    self.report["failures"].append(repr(error))
                continue
            visits += 1
            session = got if keeps and visits % 100 else None  # one line of tickets is not endless
            with self.lock:
                self.report["done"] += 1
                self.report["resumed"] += had and reused
                self.report["full"] += had and not reused

    def visit(self, context, session):
        client = TlsClient(self.address, context, session=session)
        try:
            client.send(b"x")
            if client.recv_exactly(1) != b"x":
                raise AssertionError("another byte came back")
            return client.tls.session_reused, client.tls.session
        finally:
            client.close()


if __name__ == "__main__":
    with open(sys.argv[4], encoding="ascii") as file:
        Clients((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]), file.read()).run()
