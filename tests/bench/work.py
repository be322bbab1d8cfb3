"""The work that every proxy is given. Each function measures on a fresh stand and returns
{row: value}; which rows there are, and their targets, is in report.py."""

import time

from stand import Failure


class Size:
    """How much of everything: enough to measure, or (quick) just enough to see that it works."""

    def __init__(self, quick):
        self.probe = 40 if quick else 1500                    # handshakes that show what one costs
        self.spread_seconds = 0.5 if quick else 5
        self.capacity_seconds = 0.3 if quick else 4
        self.handshakes = 40 if quick else 3000
        self.handshakes_rsa = 20 if quick else 2000
        self.resumed = 40 if quick else 5000
        self.bulk = 2 << 20 if quick else 300 << 20           # bytes on each of four connections
        self.bulk_small = 256 << 10 if quick else 40 << 20
        self.connections = 20 if quick else 100
        self.messages = 500 if quick else 100000
        self.rate = 500 if quick else 2000                    # messages per second
        self.paced_seconds = 0.5 if quick else 5
        self.idle_connections = 50 if quick else 2000
        self.storm_connections = 50 if quick else 500
        self.newcomers = 20 if quick else 500
        self.storm_seconds = 0.5 if quick else 5
        self.scale = (1, 50) if quick else (1, 100, 1000, 9000)
        self.scale_messages = 200 if quick else 60000
        self.scale_accepts = 10 if quick else 200
        self.idle_seconds = 0.2 if quick else 5


MESSAGE = 64
INFLIGHT = 32  # handshakes; so many clients resume in turns, each fewer than 200 times in a row
SPREAD = 200   # the same, where they begin at a fixed rate
THIRD = 1 / 3
GIGABYTE = 1e9


def handshakes(row, count, tls, resume="none"):
    def measure(stand):
        load = stand.load(tls=tls, resume=resume, inflight=INFLIGHT)
        load.ask(f"handshakes {INFLIGHT}" if resume == "none" else "prime")
        before = stand.spent()
        done = load.ask(f"handshakes {count}")["done"]
        spent = stand.spent() - before
        stand.check_backend(INFLIGHT + done)
        return {row: spent / done * 1e6}
    return measure


def spread(row, size, tls, resume="none"):
    """The proxy has a processor of its own and is idle two thirds of the time: it goes to sleep and
    is woken for nearly everything that comes, as most installations are."""
    def measure(stand):
        load = stand.load(tls=tls, resume=resume, inflight=SPREAD)
        load.ask(f"handshakes {SPREAD}" if resume == "none" else "prime")
        start = stand.spent()
        load.ask(f"handshakes {size.probe}")
        each = (stand.spent() - start) / size.probe
        rate = max(1, int(THIRD / each))
        count = max(1, int(rate * size.spread_seconds))
        before = stand.spent()
        answer = load.ask(f"spread {rate} {count}")
        spent = stand.spent() - before
        stand.check_backend(SPREAD + size.probe + count)
        return {row: spent / count * 1e6, f"{row}.busy": 100 * spent / answer["seconds"]}
    return measure


def capacity(row, size):
    """How many handshakes a second there are when the proxy does nothing else. Its clients have to
    be cheaper than the proxy (newcomer.h); `busy` says whether they were."""
    def measure(stand):
        stand.keep_awake(stand.processors.proxy)
        newcomers = stand.newcomers(size.newcomers)
        early = newcomers.ask("200")
        before = stand.spent()
        answer = newcomers.ask(f"{int(1000 * size.capacity_seconds)}")
        spent = stand.spent() - before
        stand.check_backend(early["done"] + answer["done"])
        return {row: answer["done"] / answer["seconds"],
                f"{row}.busy": 100 * spent / answer["seconds"]}
    return measure


def bulk(row, direction, length, write_size):
    def measure(stand):
        load = stand.load()
        load.ask("open 4")
        load.ask(f"{direction} {max(write_size, length // 16)} {write_size}")
        before = stand.spent()
        done = load.ask(f"{direction} {length} {write_size}")["done"]
        spent = stand.spent() - before
        load.ask("close")
        stand.check_backend(4)
        return {row: spent / done * GIGABYTE}
    return measure


def messages(row, size):
    def measure(stand):
        load = stand.load()
        load.ask(f"open {size.connections}")
        load.ask(f"messages {size.messages // 10} {MESSAGE} {size.connections}")
        before = stand.spent()
        answer = load.ask(f"messages {size.messages} {MESSAGE} {size.connections}")
        spent = stand.spent() - before
        load.ask("close")
        stand.check_backend(size.connections)
        return {row: spent / answer["done"] * 1e6, f"{row}.busy": 100 * spent / answer["seconds"]}
    return measure


def _paced(load, size, seconds):
    answer = load.ask(f"paced {size.rate} {int(size.rate * seconds)} {MESSAGE}")
    if answer["done"] != int(size.rate * seconds):
        raise Failure(f"{answer['done']:.0f} paced messages came back")
    return answer


def latency(size):
    def measure(stand):
        load = stand.load()
        load.ask(f"open {size.connections}")
        _paced(load, size, size.paced_seconds / 10)
        before = stand.spent()
        answer = _paced(load, size, size.paced_seconds)
        spent = stand.spent() - before
        load.ask("close")
        stand.check_backend(size.connections)
        return {"paced.cost": spent / answer["done"] * 1e6,
                **{f"paced.{part}": answer[part] for part in ("p50", "p90", "p99", "p999")}}
    return measure


def memory(tls, size):
    def measure(stand):
        count = size.idle_connections
        load = stand.load(tls=tls, inflight=4)
        load.ask("handshakes 16")
        before = stand.memory()
        load.ask(f"open {count}")
        load.ask(f"messages {count} {MESSAGE} 4")
        idle = stand.memory()
        load.ask(f"messages {count} 16384 4")
        after = stand.memory()
        load.ask("close")
        stand.check_backend(16 + count)
        return {f"memory-{tls}.idle": (idle - before) / count,
                f"memory-{tls}.after": (after - before) / count}
    return measure


def broker_memory(row, tls, count):
    def measure(stand):
        load = stand.load(tls=tls, inflight=4)
        load.ask("handshakes 16")
        before = stand.memory()
        load.ask(f"open {count}")
        idle = stand.memory()
        load.ask("close")
        return {row: (idle - before) / count}
    return measure


def storm(size):
    """Devices talk at a fixed rate, first alone, then while newcomers come as fast as they can.
    The newcomers' generator is cheaper than any proxy (newcomer.h) and gives way to the devices, so
    that these wait for the proxy and not for it."""
    def measure(stand):
        devices = stand.load(inflight=4)
        devices.ask(f"open {size.storm_connections}")
        _paced(devices, size, size.storm_seconds / 10)
        quiet = _paced(devices, size, size.storm_seconds)
        stand.keep_awake(stand.processors.proxy)  # the newcomers do that for the others
        newcomers = stand.newcomers(size.newcomers)
        newcomers.say(f"{int(1000 * (1.3 * size.storm_seconds + 1))}")
        time.sleep(0.5)
        before, start = stand.spent(), time.monotonic()
        loud = _paced(devices, size, size.storm_seconds)
        busy = (stand.spent() - before) / (time.monotonic() - start)
        if newcomers.ready():
            raise Failure("the newcomers were done before the devices")
        came = newcomers.answer()
        if came["done"] < size.newcomers:
            raise Failure(f"only {came['done']:.0f} newcomers got through")
        devices.ask("close")
        stand.check_backend(size.storm_connections + came["done"])
        rows = {"storm.newcomers": came["done"] / came["seconds"], "storm.busy": 100 * busy}
        for part in ("p50", "p90", "p99", "p999"):
            rows[f"storm.quiet.{part}"] = quiet[part]
            rows[f"storm.{part}"] = loud[part]
        return rows
    return measure


def scale(count, size):
    def measure(stand):
        load = stand.load(inflight=16)
        load.ask("handshakes 16")
        empty = stand.memory()
        load.ask(f"open {count}")
        full = stand.memory()
        inflight = min(count, 100)
        load.ask(f"messages {max(count, size.scale_messages // 10)} {MESSAGE} {inflight}")
        start = stand.spent()
        load.ask(f"messages {size.scale_messages} {MESSAGE} {inflight}")
        talked = stand.spent()
        time.sleep(size.idle_seconds)
        idled = stand.spent()
        load.ask(f"open {size.scale_accepts}")
        accepted = stand.spent()
        load.ask("close")
        stand.check_backend(16 + count + size.scale_accepts)
        return {f"scale.{count}.memory": (full - empty) / count,
                f"scale.{count}.message": (talked - start) / size.scale_messages * 1e6,
                f"scale.{count}.idle": (idled - talked) / (size.idle_seconds + 0.03) * 1e3,
                f"scale.{count}.accept": (accepted - idled) / size.scale_accepts * 1e6}
    return measure


class Measurement:
    """`together`: proxy and load on one processor (machine.py). `hybrid`: with X25519MLKEM768.
    `clients`: they have certificates. `broker`: a Mosquitto is what they talk to, and counts."""

    def __init__(self, name, key, measure, workers=1, together=False, hybrid=False, clients=False,
                 broker=False):
        self.together = together
        self.name = name
        self.key = key
        self.measure = measure
        self.workers = workers
        self.hybrid = hybrid
        self.clients = clients
        self.broker = broker


def measurements(size):
    """All of them, in the order in which they are run."""
    made = []
    for key, count in (("ecdsa", size.handshakes), ("rsa", size.handshakes_rsa)):
        for tls in ("1.2", "1.3"):
            row = f"handshake-{key}-{tls}"
            made.append(Measurement(row, key, handshakes(row, count, tls), together=True))
    made.append(Measurement("handshake-hybrid", "ecdsa",
                            handshakes("handshake-hybrid", size.handshakes, "1.3"), together=True,
                            hybrid=True))
    for tls in ("1.2", "1.3"):
        row = f"handshake-client-{tls}"
        made.append(Measurement(row, "ecdsa", handshakes(row, size.handshakes_rsa, tls),
                                together=True, clients=True))
    for name, tls, resume in (("resumed-1.2", "1.2", "ticket"), ("resumed-1.3", "1.3", "ticket"),
                              ("resumed-id", "1.2", "id")):
        made.append(Measurement(name, "ecdsa", handshakes(name, size.resumed, tls, resume),
                                together=True))
    made.append(Measurement("resumed-hybrid", "ecdsa",
                            handshakes("resumed-hybrid", size.resumed, "1.3", "ticket"),
                            together=True, hybrid=True))
    for key in ("ecdsa", "rsa"):
        for tls in ("1.2", "1.3"):
            row = f"spread-{key}-{tls}"
            made.append(Measurement(row, key, spread(row, size, tls)))
    for tls in ("1.2", "1.3"):
        row = f"spread-resumed-{tls}"
        made.append(Measurement(row, "ecdsa", spread(row, size, tls, "ticket")))
    for key in ("ecdsa", "rsa"):
        row = f"capacity-{key}"
        made.append(Measurement(row, key, capacity(row, size)))
    for direction in ("up", "down"):
        for write_size, length in ((16384, size.bulk), (256, size.bulk_small)):
            row = f"{direction}-{write_size}"
            made.append(Measurement(row, "ecdsa", bulk(row, direction, length, write_size),
                                    together=True))
    made.append(Measurement("messages", "ecdsa", messages("messages", size), together=True))
    made.append(Measurement("paced", "ecdsa", latency(size)))
    for tls in ("1.2", "1.3"):
        made.append(Measurement(f"memory-{tls}", "ecdsa", memory(tls, size)))
    made.append(Measurement("storm", "rsa", storm(size)))
    for count in size.scale:
        made.append(Measurement(f"scale-{count}", "ecdsa", scale(count, size)))
    for name, measure in (
            ("two.handshake", handshakes("two.handshake", size.handshakes, "1.2")),
            ("two.up", bulk("two.up", "up", size.bulk, 16384)),
            ("two.messages", messages("two.messages", size))):
        made.append(Measurement(name, "ecdsa", measure, workers=2))
    return made + broker_measurements(size)


def broker_measurements(size):
    """TLS in front of a Mosquitto, or by itself: the processor time and memory of all of it."""
    made = []
    for key, count in (("ecdsa", size.handshakes), ("rsa", size.handshakes_rsa)):
        for tls in ("1.2", "1.3"):
            row = f"broker-{key}-{tls}"
            made.append(Measurement(row, key, handshakes(row, count, tls), together=True,
                                    broker=True))
    for tls in ("1.2", "1.3"):
        row = f"broker-resumed-{tls}"
        made.append(Measurement(row, "ecdsa", handshakes(row, size.resumed, tls, "ticket"),
                                together=True, broker=True))
    row = "broker-client-1.3"
    made.append(Measurement(row, "ecdsa", handshakes(row, size.handshakes_rsa, "1.3"),
                            together=True, clients=True, broker=True))
    for tls in ("1.2", "1.3"):
        row = f"broker-memory-{tls}"
        made.append(Measurement(row, "ecdsa", broker_memory(row, tls, size.idle_connections),
                                broker=True))
    return made
