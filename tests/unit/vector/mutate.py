#!/usr/bin/env python3
"""mutate.py SOURCE OUT OLD NEW: copies SOURCE; NEW replaces OLD, which must occur once.

For tests that must catch a wrong or a leaky kernel: a copy of the real one, made wrong or leaky.
"""
import sys
from pathlib import Path

source, out, old, new = sys.argv[1:]
text = Path(source).read_text(encoding="utf-8")
if text.count(old) != 1:
    sys.exit(f"{source} has this {text.count(old)} times: {old}")
Path(out).write_text(text.replace(old, new), encoding="utf-8")
