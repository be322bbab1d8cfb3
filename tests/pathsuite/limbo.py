#!/usr/bin/env python3
"""Makes the cases of C2SP/x509-limbo again, for clients instead of servers.

    tests/pathsuite/limbo.py CLONE limbo.json

CLONE is a clone of https://github.com/C2SP/x509-limbo; what its pyproject.toml asks for must be
importable. serverAuth and clientAuth change places in all cases but those that are for clients
already. Cases that this version of the packages cannot make are named and left out, as are those of
BetterTLS, whose certificates are made elsewhere.
"""

import json
import logging
import pathlib
import sys


def load_registry():
    """All cases of the suite by their ids, each a function."""
    for name in [name for name in sys.modules if name.split(".")[0] == "limbo"]:
        del sys.modules[name]
    import limbo.testcases  # from the clone
    return dict(limbo.testcases.registry)


def swap_purposes():
    """The suite takes the two from here, some of them when it is imported."""
    from cryptography import x509
    usual = x509.ExtendedKeyUsageOID
    usual.SERVER_AUTH, usual.CLIENT_AUTH = usual.CLIENT_AUTH, usual.SERVER_AUTH
    x509.OID_SERVER_AUTH, x509.OID_CLIENT_AUTH = x509.OID_CLIENT_AUTH, x509.OID_SERVER_AUTH


def make(registry):
    made = {}
    for name, case in registry.items():
        try:
            made[name] = json.loads(case().model_dump_json())
        except Exception as error:  # whatever a package of another version makes of it
            print(f"left out: {name}: {error!r}"[:200], file=sys.stderr)
    return made


def main():
    clone, out = sys.argv[1:]
    sys.path.insert(0, clone)
    logging.disable(logging.INFO)
    plain = make(load_registry())
    swap_purposes()
    swapped = make(load_registry())
    cases = [plain[name] if case["validation_kind"] == "CLIENT" else case
             for name, case in swapped.items()]
    pathlib.Path(out).write_text(json.dumps({"version": 1, "testcases": cases}), encoding="utf-8")
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
