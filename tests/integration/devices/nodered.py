"""A real Node-RED with flows that take a message from a broker node and publish it there again."""

import json
import os
import subprocess

from clients import PATIENCE
from devices.field import DOWN
from devices.programs import npm_folder

SETTINGS = """module.exports = {
    // No editor, no pages of its own: it listens nowhere.
    httpAdminRoot: false,
    httpNodeRoot: false,
    flowFile: 'flows.json',
    credentialSecret: false,
    mqttReconnectTime: 1000,
    logging: { console: { level: 'info' } },
}
"""


class NodeRed:
    def __init__(self, folder):
        self.folder = folder
        self.flow = [{"id": "tab", "type": "tab", "label": "postern"}]
        self.process = None

    def broker(self, port, up, ca="", verify=True):
        """A broker node and the flow of one message through it."""
        name = f"n{port}"
        self.flow += [
            {"id": f"{name}tls", "type": "tls-config", "cert": "", "key": "", "ca": ca,
             "servername": "", "verifyservercert": verify},
            {"id": f"{name}broker", "type": "mqtt-broker", "broker": "localhost",
             "port": str(port), "tls": f"{name}tls", "usetls": True, "clientid": "",
             "autoConnect": True, "protocolVersion": "4", "keepalive": "60",
             "cleansession": True},
            {"id": f"{name}in", "z": "tab", "type": "mqtt in", "topic": DOWN, "qos": "0",
             "datatype": "buffer", "broker": f"{name}broker", "wires": [[f"{name}out"]]},
            {"id": f"{name}out", "z": "tab", "type": "mqtt out", "topic": up, "qos": "1",
             "retain": "false", "broker": f"{name}broker", "wires": []},
        ]

    def start(self):
        os.makedirs(self.folder)
        for name, text in (("settings.js", SETTINGS), ("flows.json", json.dumps(self.flow))):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        program = os.path.join(npm_folder(), "node_modules/node-red/red.js")
        with open(os.path.join(self.folder, "log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["node", program, "--userDir", self.folder],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self):
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
