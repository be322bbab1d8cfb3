"""The table: what each row is, medians with their range, and the targets."""

import statistics

OURS = "Postern"


class Row:
    """`best` is min or max, or None where a figure only explains another one."""

    def __init__(self, key, title, unit, best=min):
        self.key = key
        self.title = title
        self.unit = unit
        self.best = best


BUSY = "share of that time in which the proxy was busy"

# What several groups of rows have in common.
HANDSHAKES = {
    "ecdsa-1.2": "full handshake, ECDSA, TLS 1.2",
    "ecdsa-1.3": "full handshake, ECDSA, TLS 1.3",
    "rsa-1.2": "full handshake, RSA-2048, TLS 1.2",
    "rsa-1.3": "full handshake, RSA-2048, TLS 1.3",
    "hybrid": "full handshake, ECDSA, X25519MLKEM768, TLS 1.3",
    "client-1.2": "full handshake, ECDSA, client certificate, TLS 1.2",
    "client-1.3": "full handshake, ECDSA, client certificate, TLS 1.3",
}
RESUMED = {
    "resumed-1.2": "resumed by ticket, TLS 1.2",
    "resumed-1.3": "resumed by ticket, TLS 1.3",
    "resumed-id": "resumed by session ID, TLS 1.2",
    "resumed-hybrid": "resumed by ticket, X25519MLKEM768, TLS 1.3",
}
USUAL = ("ecdsa-1.2", "ecdsa-1.3", "rsa-1.2", "rsa-1.3")
TICKETS = ("resumed-1.2", "resumed-1.3")
WORK = HANDSHAKES | RESUMED

# A processor of its own, a third busy.
SPREAD_ROWS = [row for name in USUAL + TICKETS
               for row in (Row(f"spread-{name}", f"a third busy: {WORK[name]}", "us"),
                           Row(f"spread-{name}.busy", BUSY, "%", None))]

# TLS in front of a Mosquitto, both counted, and a Mosquitto by itself.
BROKER_ROWS = [
    *(Row(f"broker-{name}", WORK[name], "us") for name in USUAL + ("client-1.3",) + TICKETS),
    Row("broker-memory-1.2", "memory of an idle client, TLS 1.2", "bytes"),
    Row("broker-memory-1.3", "memory of an idle client, TLS 1.3", "bytes"),
]


def rows_of(results):
    """Those of proxies, in order; those of `scale` depend on how many connections were tried."""
    rows = [
        *(Row(f"handshake-{name}", title, "us") for name, title in HANDSHAKES.items()),
        *(Row(name, title, "us") for name, title in RESUMED.items()),
        *SPREAD_ROWS,
        Row("capacity-ecdsa", "full handshakes, ECDSA, TLS 1.2 (more is better)", "/s", max),
        Row("capacity-ecdsa.busy", BUSY, "%", None),
        Row("capacity-rsa", "full handshakes, RSA-2048, TLS 1.2 (more is better)", "/s", max),
        Row("capacity-rsa.busy", BUSY, "%", None),
        Row("up-16384", "client to broker, 16 KB writes", "s/GB"),
        Row("down-16384", "broker to client, 16 KB writes", "s/GB"),
        Row("up-256", "client to broker, 256-byte records", "s/GB"),
        Row("down-256", "broker to client, 256-byte writes", "s/GB"),
        Row("messages", "small message echoed, proxy busy", "us"),
        Row("messages.busy", BUSY, "%", None),
        Row("paced.cost", "small message echoed, fixed rate", "us"),
        Row("paced.p50", "latency at a fixed rate, median", "us"),
        Row("paced.p90", "latency at a fixed rate, p90", "us"),
        Row("paced.p99", "latency at a fixed rate, p99", "us"),
        Row("paced.p999", "latency at a fixed rate, p99.9", "us"),
        Row("memory-1.2.idle", "memory of an idle connection, TLS 1.2", "bytes"),
        Row("memory-1.2.after", "the same after 16 KB each way", "bytes"),
        Row("memory-1.3.idle", "memory of an idle connection, TLS 1.3", "bytes"),
        Row("memory-1.3.after", "the same after 16 KB each way", "bytes"),
        Row("storm.quiet.p50", "before the storm, median latency", "us"),
        Row("storm.quiet.p90", "before the storm, p90", "us"),
        Row("storm.quiet.p99", "before the storm, p99", "us"),
        Row("storm.quiet.p999", "before the storm, p99.9", "us"),
        Row("storm.p50", "in the storm, median latency", "us"),
        Row("storm.p90", "in the storm, p90", "us"),
        Row("storm.p99", "in the storm, p99", "us"),
        Row("storm.p999", "in the storm, p99.9", "us"),
        Row("storm.newcomers", "new clients' handshakes meanwhile (more is better)", "/s", max),
        Row("storm.busy", BUSY, "%", None),
    ]
    counts = sorted({int(key.split(".")[1]) for key in results if key.startswith("scale.")})
    for what, title, unit in (("memory", "memory of a connection", "bytes"),
                              ("message", "small message echoed", "us"),
                              ("accept", "accept with ECDSA handshake, TLS 1.2", "us"),
                              ("idle", "processor time of nothing happening", "ms/s")):
        rows += [Row(f"scale.{n}.{what}", f"{title}, {n:,} connected", unit) for n in counts]
    rows += [
        Row("two.handshake", "two workers: full handshake, ECDSA, TLS 1.2", "us"),
        Row("two.up", "two workers: client to broker, 16 KB writes", "s/GB"),
        Row("two.messages", "two workers: small message echoed", "us"),
    ]
    return [row for row in rows if row.key in results]


def median(results, key, proxy):
    values = [v for v in results.get(key, {}).get(proxy, []) if v is not None]
    return statistics.median(values) if values else None


def best_peer(results, key, best=min):
    """The best median of all peers and whose it is; (None, "") without a peer. Another build of
    Postern is none."""
    found = [(m, proxy) for proxy in results.get(key, {}) if not proxy.startswith(OURS)
             if (m := median(results, key, proxy)) is not None]
    return best(found, default=(None, ""))


class Bar:
    """A figure that Postern must not exceed, or with `more` must reach. `of` computes it from the
    results, or gives None."""

    def __init__(self, title, of, bound, stretch, unit="", more=False):
        self.title = title
        self.of = of
        self.bound = bound
        self.stretch = stretch
        self.unit = unit
        self.more = more

    def _holds(self, value, bound):
        return value >= bound if self.more else value <= bound

    def verdict(self, value):
        if value is None:
            return "not measured"
        if self.stretch is not None and self._holds(value, self.stretch):
            return "PASS, stretch"
        return "PASS" if self._holds(value, self.bound) else "MISS"


def _to_best(key, best=min):
    def ratio(results):
        ours, (theirs, _) = median(results, key, OURS), best_peer(results, key, best)
        return ours / theirs if ours is not None and theirs else None
    return ratio


def _to_own(key, other):
    def ratio(results):
        a, b = median(results, key, OURS), median(results, other, OURS)
        return a / b if a is not None and b else None
    return ratio


def _own(key):
    return lambda results: median(results, key, OURS)


# To the best of today's peers, HAProxy 3.4 and nginx 1.31 with AWS-LC; Debian 12's cost far more.
BARS = [
    *(Bar(f"full handshake, {title}, TLS {tls}", _to_best(f"handshake-{key}-{tls}"), *bounds)
      for key, title, bounds in (("ecdsa", "ECDSA", (0.70, 0.62)),
                                 ("rsa", "RSA-2048", (0.92, 0.85)))
      for tls in ("1.2", "1.3")),
    Bar("resumed, TLS 1.2", _to_best("resumed-1.2"), 0.72, 0.65),
    Bar("resumed, TLS 1.3", _to_best("resumed-1.3"), 0.72, 0.65),
    *(Bar(f"GB {way}, {title}", _to_best(f"{way}-{size}"), 0.80, 0.70)
      for size, title in ((16384, "16 KB"), (256, "256-byte records")) for way in ("up", "down")),
    Bar("small message echoed", _to_best("messages"), 0.75, 0.65),
    Bar("idle memory per connection, TLS 1.2", _own("memory-1.2.idle"), 2600, 2000, "bytes"),
    Bar("idle memory per connection, TLS 1.3", _own("memory-1.3.idle"), 2600, 2000, "bytes"),
    Bar("memory after 16 KB each way to memory before, TLS 1.2",
        _to_own("memory-1.2.after", "memory-1.2.idle"), 1.01, None),
    Bar("memory after 16 KB each way to memory before, TLS 1.3",
        _to_own("memory-1.3.after", "memory-1.3.idle"), 1.01, None),
    Bar("p99 in a storm", _to_best("storm.p99"), 0.6, 0.4),
    Bar("new clients' handshakes in a storm", _to_best("storm.newcomers", max), 1.05, 1.15,
        more=True),
    Bar("p99 in a storm to our own quiet p99", _to_own("storm.p99", "storm.quiet.p99"), 3, 1.5),
    Bar("cost of a message at 9,000 connections to that at 100",
        _to_own("scale.9000.message", "scale.100.message"), 1.3, None),
]


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(results, key, proxy):
    values = results[key].get(proxy, [])
    numbers = [v for v in values if v is not None]
    if not numbers:
        return "no" if values else "-"
    middle = number(statistics.median(numbers))
    if len(numbers) == 1:
        return middle
    return f"{middle} ({number(min(numbers))} to {number(max(numbers))})"


def _ratio(results, row):
    if row.best is None:
        return "-"
    ratio = _to_best(row.key, row.best)(results)
    return f"{ratio:.2f} of {best_peer(results, row.key, row.best)[1]}" if ratio else "-"


def _columns(run, rows):
    """The proxies that have a figure in one of the rows; Postern first."""
    measured = {name for row in rows for name in run["results"][row.key]}
    names = [name for name in run["proxies"] if name in measured]
    return sorted(names, key=lambda name: name != OURS)


def figures(run):
    """The first table: a list of lists of text, the head first."""
    results, rows = run["results"], rows_of(run["results"])
    names = _columns(run, rows)
    table = [["work", "unit"] + [f"{name} {run['proxies'][name]}" for name in names]
             + ["Postern to the best peer"]]
    for row in rows:
        table.append([row.title, row.unit] + [_cell(results, row.key, name) for name in names]
                     + [_ratio(results, row)])
    return table


def broker_figures(run):
    """The same for TLS and a Mosquitto together; None where that was not measured."""
    results = run["results"]
    rows = [row for row in BROKER_ROWS if row.key in results]
    if not rows:
        return None
    names = _columns(run, rows)
    alone = run.get("brokers", [])
    table = [["work of TLS and broker together", "unit"]
             + [f"{name} {run['proxies'][name]}" + ("" if name in alone else " + Mosquitto")
                for name in names] + ["Postern to a Mosquitto alone"]]
    for row in rows:
        ours = median(results, row.key, OURS)
        least = min((m for name in alone if (m := median(results, row.key, name)) is not None),
                    default=None)
        table.append([row.title, row.unit] + [_cell(results, row.key, name) for name in names]
                     + [f"{ours / least:.2f}" if ours is not None and least else "-"])
    return table


def bars(run):
    table = [["target", "bound", "stretch", "is", ""]]
    for bar in BARS:
        value = bar.of(run["results"])
        least = "at least " if bar.more else ""
        unit = f" {bar.unit}" if bar.unit else ""
        stretch = "-" if bar.stretch is None else f"{bar.stretch:,}{unit}"
        shown = "-" if value is None else f"{number(value) if bar.unit else f'{value:.2f}'}{unit}"
        table.append([bar.title, f"{least}{bar.bound:,}{unit}", stretch, shown, bar.verdict(value)])
    return table


def facts_line(run):
    m = run["machine"]
    clients = f"clients with {m['clients']}, " if m.get("clients") else "clients, and "
    taken = ""
    if "pauses" in run:
        taken = (f"with all processors busy the host takes {run['pauses']['lost']:.1%} of the "
                 f"time, at most {run['pauses']['longest']:.0f} ms at once; ")
    return (f"{m['day']}; {m['processor']}, {m['processors']} processors; Linux {m['kernel']}, "
            f"{m['system']}; {clients}peers of which nothing else is said, with "
            f"{m['openssl'].split(' (')[0]}; {taken}"
            f"medians of {run['rounds']} rounds, lowest and highest in parentheses")


def as_text(table):
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in table) + "\n"


def as_markdown(table):
    lines = ["| " + " | ".join(line) + " |" for line in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0])] + lines[1:]) + "\n"


def _tables(run):
    return [table for table in (figures(run), broker_figures(run), bars(run)) if table is not None]


def text(run):
    return "\n".join([facts_line(run) + "\n", *map(as_text, _tables(run))])


def markdown(run):
    return "\n".join([f"Measured {facts_line(run)}.\n", *map(as_markdown, _tables(run))])
