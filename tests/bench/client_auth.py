#!/usr/bin/env python3
"""What a full handshake with a client certificate costs the running program.

    python3 tests/bench/client_auth.py build-plain/postern [ANOTHER_POSTERN...]

Processor time of the whole process for each connection: TCP, a full handshake, the broker's
connection, a byte echoed, and the close. The programs take turns; medians of the rounds.
"""

import os
import ssl
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "integration"))

import chains  # noqa: E402
import harness  # noqa: E402
from brokers import echo  # noqa: E402
from clients import TlsClient, tls_context  # noqa: E402

ROUNDS, CONNECTIONS = 5, 200


def processor_ns(pid):
    """Of all its threads, from the kernel's clock in nanoseconds."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


class Stand(harness.Case):
    """One program with client_auth on or off, and clients of one kind."""

    def runTest(self):
        root, sub = chains.authority("Root"), chains.authority("Sub", "Root")
        leaf = chains.Node("device", sub)
        leaf.chain = sub.pem
        self.write("ca.pem", root.pem)
        self.broker = self.fake_broker(echo)
        programs = sys.argv[1:]
        rows = {}
        for program in programs * ROUNDS:
            for version in ("1.2", "1.3"):
                for what, cert in (("none", None), ("P-256, chain of two", leaf)):
                    rows.setdefault((version, what, program), []).append(
                        self.cost(program, version, cert))
        for (version, what, program), values in sorted(rows.items()):
            print(f"TLS {version}, client certificate {what}: {statistics.median(values):.0f} us "
                  f"({min(values):.0f} to {max(values):.0f}) with {program}")

    def cost(self, program, version, cert):
        listener = {"client_auth": "required", "client_ca": "ca.pem"} if cert else {}
        config = self.write("postern.conf", self.config(self.broker, listener=listener,
                                                        main={"workers": "1"}))
        postern = self.start(config, wrapper=(program,))
        context = tls_context(None, version, cert)
        context.options |= ssl.OP_NO_TICKET
        self.connect(postern, context, CONNECTIONS // 10)
        before = processor_ns(postern.pid)
        self.connect(postern, context, CONNECTIONS)
        spent = processor_ns(postern.pid) - before
        postern.stop()
        return spent / 1000 / CONNECTIONS

    @staticmethod
    def connect(postern, context, count):
        for _ in range(count):
            client = TlsClient(postern.address(), context)
            client.send(b"x")
            client.recv_exactly(1)
            client.close()


if __name__ == "__main__":
    result = harness.unittest.TextTestRunner().run(Stand())
    sys.exit(0 if result.wasSuccessful() else 1)
