"""Network namespaces, for tests that need a network of their own: root and iproute2 make them."""

import concurrent.futures
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def enter(name):
    """This thread, from now on."""
    with open(f"/var/run/netns/{name}", "rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def within(name, call):
    """call() on a thread in that namespace; its sockets stay there."""
    def run():
        enter(name)
        return call()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def can_have_networks(*programs, link="veth"):
    """Whether there may be namespaces with links of that kind; these programs are needed, too."""
    if os.geteuid() != 0 or None in map(shutil.which, ("ip", *programs)):
        return False
    name = f"postern-{os.getpid()}-try"
    commands = (["netns", "add", name], ["-n", name, "link", "add", "try0", "type", link])
    made = [subprocess.run(["ip", *words], check=False, capture_output=True).returncode
            for words in commands]
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    return made == [0, 0]
