"""A client on Eclipse Paho's Python library: paho_client.py PORT CA|- DOWN UP RUNS.

All runs use one client object, as a program that reconnects does. With - for the CA nothing is
verified.
"""

import ssl
import sys
import threading

import paho.mqtt.client as paho

PATIENCE = 20


def main(port, ca, down, up, runs):
    # Paho 2 needs the version of the callbacks; 1.6 does not have the argument.
    version = [paho.CallbackAPIVersion.VERSION1] if hasattr(paho, "CallbackAPIVersion") else []
    client = paho.Client(*version)
    if ca == "-":
        client.tls_set(cert_reqs=ssl.CERT_NONE)
        client.tls_insecure_set(True)
    else:
        client.tls_set(ca_certs=ca)
    done = threading.Event()

    def on_message(_client, _data, message):
        client.publish(up, message.payload, qos=1)

    def on_publish(*_):
        done.set()

    client.on_connect = lambda *_: client.subscribe(down)
    client.on_message, client.on_publish = on_message, on_publish
    for _ in range(int(runs)):
        done.clear()
        client.connect("localhost", int(port))
        client.loop_start()
        if not done.wait(PATIENCE):
            sys.exit("no acknowledgement came")
        client.disconnect()
        client.loop_stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
