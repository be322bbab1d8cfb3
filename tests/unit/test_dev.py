"""The functions of ./dev, where they can be called one by one."""

import subprocess
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
USER_PATH = "/usr/local/bin:/usr/bin:/bin"  # what Debian gives an ordinary user


def dev(script, path=USER_PATH, **variables):
    """Runs bash commands that may call what ./dev defines; returns the finished process."""
    return subprocess.run(["bash", "-c", f"source ./dev help >/dev/null\n{script}", "./dev"],
                          cwd=TOP, env={"PATH": path, "HOME": "/nonexistent", **variables},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Programs(unittest.TestCase):
    def test_an_ordinary_user_finds_the_programs_of_sbin(self):
        done = dev('printf "%s" "$PATH"')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("/usr/sbin", done.stdout.split(":"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
