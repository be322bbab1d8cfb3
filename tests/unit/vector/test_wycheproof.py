#!/usr/bin/env python3
"""Wycheproof's test vectors through the TLS library, without and with the vector code.

usage: test_wycheproof.py PROGRAM      (built from wycheproof.c)

The vectors (C2SP/wycheproof, folder testvectors_v1) are read from ../shared/vectors beside the
project, or from $POSTERN_WYCHEPROOF.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
FOLDERS = [os.environ.get("POSTERN_WYCHEPROOF"), TOP.parent / "shared" / "vectors"]
PROGRAM = None  # set below: the command that runs the program


def field(text):
    return text or "-"


def name(text):
    return text.encode().hex()


# For each algorithm its file, and what wycheproof.c wants of a group and a test of it.
FILES = {
    "gcm": [("aes_gcm_test.json", lambda g, t: [t["key"], t["iv"], t["aad"], t["msg"], t["ct"],
                                                t["tag"]])],
    "x25519": [("x25519_test.json", lambda g, t: [t["private"], t["public"], t["shared"]])],
    "mlkem": [("mlkem_768_encaps_test.json",
               lambda g, t: [t["ek"], t["m"], t.get("c"), t.get("K")])],
    "pkcs1": [("rsa_pkcs1_2048_sig_gen_test.json",
               lambda g, t: [name(g["sha"]), g["privateKeyPkcs8"], t["msg"], t["sig"]])],
    "pss": [("rsa_pss_2048_sha256_mgf1_32_test.json",
             lambda g, t: [name(g["sha"]), g["publicKeyDer"], t["msg"], t["sig"]])],
    "ecdsa": [(f"ecdsa_secp{bits}r1_sha{bits}_test.json",
               lambda g, t: [name(g["sha"]), g["publicKeyDer"], t["msg"], t["sig"]])
              for bits in (256, 384)],
}


# wolfSSL 5.9.2's own X25519 for x86-64 computes the wrong secret for half of the scalars and a few
# points, u = 2 among them, that only a peer sends on purpose (docs/vector-code.md). Ours, where it
# is in use, is right.
KNOWN = {("x25519", "library"): {"7", "119"}}
WRONG = re.compile(r"^(\w+) (\w+), which is .*: wrong by the library$", re.MULTILINE)


def folder():
    for path in FOLDERS:
        if path and (Path(path) / "x25519_test.json").is_file():
            return Path(path)
    return None


def lines(algorithm):
    for file, fields in FILES[algorithm]:
        for group in json.loads((folder() / file).read_text(encoding="utf-8"))["testGroups"]:
            for test in group["tests"]:
                yield " ".join([algorithm, str(test["tcId"]), test["result"],
                                *map(field, fields(group, test))])


class Wycheproof(unittest.TestCase):
    def setUp(self):
        if folder() is None:
            self.skipTest("the vectors are not here: see the head of test_wycheproof.py")

    @staticmethod
    def code_in_use(with_what):
        """Without AVX-512, or without the kernel in the build, it is the library's in any case."""
        if with_what == "library":
            return "library"
        done = subprocess.run([*PROGRAM, "kernels"], input="", capture_output=True, text=True,
                              check=True)
        return "kernels" if "x25519 kernel in use" in done.stdout else "library"

    def check(self, algorithm):
        cases = "".join(line + "\n" for line in lines(algorithm))
        for with_what in ("library", "kernels"):
            done = subprocess.run([*PROGRAM, with_what], input=cases, capture_output=True, text=True,
                                  check=False)
            wrong = {number for _, number in WRONG.findall(done.stdout)}
            known = wrong & KNOWN.get((algorithm, self.code_in_use(with_what)), set())
            self.assertEqual(wrong, known, done.stdout + done.stderr)
            self.assertEqual(done.returncode, 1 if known else 0, done.stdout + done.stderr)
            counts = next(line for line in done.stdout.splitlines() if line.startswith(f"{algorithm}:"))
            print(f"{'with' if with_what == 'kernels' else 'without'} the kernels: {counts}"
                  f"{'; known defects of the library: ' + str(len(known)) if known else ''}",
                  file=sys.stderr)

    def test_aes_gcm(self):
        self.check("gcm")

    def test_x25519(self):
        self.check("x25519")

    def test_ml_kem_encapsulation(self):
        self.check("mlkem")

    def test_rsa_pkcs1_signatures_are_made(self):
        self.check("pkcs1")

    def test_rsa_pss_signatures_are_judged(self):
        self.check("pss")

    def test_ecdsa_signatures_are_judged(self):
        self.check("ecdsa")

    def test_a_wrong_answer_is_noticed(self):
        for algorithm in FILES:
            offered = algorithm in ("gcm", "x25519", "mlkem") or name("SHA-256")
            good = next(line for line in lines(algorithm) if " valid " in line
                        and (offered is True or offered in line.split()))
            last = good[-1]
            bad = good[:-1] + ("0" if last != "0" else "1")
            done = subprocess.run([*PROGRAM, "kernels"], input=good + "\n" + bad + "\n",
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1, good)
            self.assertIn("wrong by the library", done.stdout)


if __name__ == "__main__":
    PROGRAM = [*shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")), sys.argv.pop(1)]
    unittest.main()
