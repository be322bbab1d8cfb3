"""What a case of path validation is, and the parts that our own cases are made of.

A case states what a listener that trusts `trusted` must decide about a client that sends `sent`,
and which rule says so. The rules are those of RFC 5280 and RFC 8446, or, where these leave a choice
or we are stricter, the manual's, postern.conf(5). Nothing here knows how Postern decides.
"""

import dataclasses
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "integration"))

import chains  # noqa: E402 (the folder is known from here on)
import pki  # noqa: E402
from chains import Node  # noqa: E402
from pki import DAY, NOW  # noqa: E402

EXPIRED = {"start": NOW - 60 * DAY, "end": NOW - DAY}
EARLY = {"start": NOW + 30 * DAY}
ACCEPT = "none"  # as the judge writes it
REFUSE = ()      # for whichever reason


@dataclasses.dataclass
class Case:
    id: str
    expected: tuple   # ACCEPT alone, or the reasons of which the log must have one; none: any
    why: str
    trusted: str      # PEM
    sent: list        # DER, the client's own first
    crls: str = ""    # PEM
    now: int = int(NOW.timestamp())

    @property
    def accept(self):
        return self.expected == (ACCEPT,)

    def is_met(self, verdict):
        """Whether the verdict is that, and for that reason."""
        return verdict in self.expected or (self.expected == REFUSE and verdict != ACCEPT)


class Group:
    """Collects the cases of one subject."""

    def __init__(self, name):
        self.name, self.cases = name, []

    def add(self, what, expected, why, sent, trusted=None, crls=(), now=NOW):
        """expected: ACCEPT, REFUSE, a reason or several; trusted: nodes, the usual root by default;
        crls: PEM texts."""
        roots = [root()] if trusted is None else trusted
        expected = (expected,) if isinstance(expected, str) else expected
        self.cases.append(Case(
            f"own::{self.name}::{what.replace(' ', '-')}", expected, why,
            "".join(node.pem for node in roots), [node.der for node in sent], "".join(crls),
            int(now.timestamp())))


def ca(name="Sub", issuer=None, **options):
    """Below the usual root, unless an issuer is given."""
    return Node(name, issuer or root(), ca=True, **options)


def leaf(issuer, **options):
    return Node(issuer=issuer, **options)


def root():
    return chains.authority("Root")


def other_root():
    return chains.authority("Other root")


def ladder(count, top=None, **options):
    """As many CAs below the root, the lowest first."""
    steps, issuer = [], top or root()
    for number in range(count):
        issuer = ca(f"CA {number}", issuer, **options)
        steps.insert(0, issuer)
    return steps


def another_key(number=0):
    return pki.key("ecdsa", ("another", number))
