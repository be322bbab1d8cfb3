"""The files for containers: configurations that Postern takes, and compose files that keep their
promises. tests/compose.sh and tests/image.sh run them."""

import json
import os
import re
import subprocess
import unittest

from harness import Case, main, pki, run_program

try:
    import yaml
except ImportError:
    yaml = None

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = "/run/postern"  # of the admin socket
CONFIGURATIONS = ("docker/postern.conf", "docker/iotstack/postern/postern.conf")


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


class Configurations(Case):
    def test_postern_takes_them(self):
        pki.server().write(self.path("certs"))
        for name in CONFIGURATIONS:
            text = read(name).replace("/etc/postern/certs/", "certs/")
            done = run_program("--check", "-c", self.write("postern.conf", text))
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_health_check_finds_an_address_to_ask(self):
        self.assertIn('HEALTHCHECK --interval=30s --timeout=5s --start-period=10s '
                      'CMD ["/usr/sbin/postern", "ctl", "health"]', read("docker/Dockerfile"))
        for name in CONFIGURATIONS:
            self.assertRegex(read(name), re.compile(f"^admin = unix:{FOLDER}/admin.sock$", re.M))
        self.assertIn(f"COPY --from=build --chown=8883:8883 /empty/ {FOLDER}/\n",
                      read("docker/Dockerfile"))

    def test_names_of_certificates_are_taken_as_they_are(self):
        *shell, commands = json.loads(re.search("^CMD (.*)", read("docker/acme.Dockerfile"), re.M)[1])
        writes = commands.split(";")[0].replace("/run/names", self.path("names"))
        for names in ("mqtt.example.org www.example.org", "-n a.example", r"a\nb.example\c d"):
            subprocess.run([*shell, writes], check=True, env={**os.environ, "NAMES": names})
            with open(self.path("names"), encoding="utf-8") as file:
                self.assertEqual(file.read(), names + "\n")


@unittest.skipUnless(yaml, "needs python3-yaml")
class Services(unittest.TestCase):
    def services(self):
        for name in ("docker/compose.yaml", "docker/acme.yaml"):
            yield from yaml.safe_load(read(name))["services"].items()
        yield from yaml.safe_load(read("docker/iotstack/postern/service.yml")).items()

    def test_ours_have_no_right_that_they_do_not_need(self):
        ours = [service for name, service in self.services()
                if name in ("postern", "certs") and ("image" in service or "build" in service)]
        self.assertEqual(len(ours), 3)
        for service in ours:
            self.assertIs(service["read_only"], True)
            self.assertEqual(service["cap_drop"], ["ALL"])
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
            self.assertEqual(service.get("cap_add", []), ["CHOWN"] if "init" in service else [])

    def test_the_admin_socket_is_in_a_folder_of_the_container_alone(self):
        ours = [service for name, service in self.services() if name == "postern" and "image" in service]
        self.assertEqual(len(ours), 2)
        for service in ours:
            self.assertEqual(service["tmpfs"], [f"{FOLDER}:uid=8883,gid=8883,mode=0750"])

    def test_docker_waits_for_the_drain_and_bounds_the_log(self):
        for name, service in self.services():
            if name == "postern" and "image" in service:
                self.assertEqual(service["stop_grace_period"], "40s")  # drain_timeout is 30s
                self.assertEqual(service["ulimits"], {"core": 0, "memlock": 8388608})
                self.assertIn("max-size", service["logging"]["options"])

    def test_folders_are_mounted_where_files_are_replaced(self):
        for name, service in self.services():
            if name == "postern":
                for volume in service["volumes"]:
                    source, target, mode = volume.rsplit(":", 2)
                    self.assertEqual(mode, "ro")
                    self.assertIn((source.endswith(".conf"), target),
                                  ((True, "/etc/postern/postern.conf"), (False, "/etc/postern/certs")))


if __name__ == "__main__":
    main()
