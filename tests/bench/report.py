"""The table: what each row is, medians with their range, and what Postern must show."""

import statistics

OURS = "Postern"


class Row:
    """`best` is min or max, or None where a figure only explains another one."""

    def __init__(self, key, title, unit, best=min):
        self.key = key
        self.title = title
        self.unit = unit
        self.best = best


def rows_of(results):
    """All rows, in order; those of `scale` depend on how many connections were tried."""
    rows = [
        Row("handshake-ecdsa-1.2", "full handshake, ECDSA, TLS 1.2", "us"),
        Row("handshake-ecdsa-1.3", "full handshake, ECDSA, TLS 1.3", "us"),
        Row("handshake-rsa-1.2", "full handshake, RSA-2048, TLS 1.2", "us"),
        Row("handshake-rsa-1.3", "full handshake, RSA-2048, TLS 1.3", "us"),
        Row("resumed-1.2", "resumed by ticket, TLS 1.2", "us"),
        Row("resumed-1.3", "resumed by ticket, TLS 1.3", "us"),
        Row("resumed-id", "resumed by session ID, TLS 1.2", "us"),
        Row("up-16384", "client to broker, 16 KB writes", "s/GB"),
        Row("down-16384", "broker to client, 16 KB writes", "s/GB"),
        Row("up-256", "client to broker, 256-byte records", "s/GB"),
        Row("down-256", "broker to client, 256-byte writes", "s/GB"),
        Row("messages", "small message echoed, proxy busy", "us"),
        Row("messages.busy", "share of that time in which the proxy was busy", "%", None),
        Row("paced.cost", "small message echoed, fixed rate", "us"),
        Row("paced.p50", "latency at a fixed rate, median", "us"),
        Row("paced.p99", "latency at a fixed rate, p99", "us"),
        Row("paced.p999", "latency at a fixed rate, p99.9", "us"),
        Row("memory-1.2.idle", "memory of an idle connection, TLS 1.2", "bytes"),
        Row("memory-1.2.after", "the same after 16 KB each way", "bytes"),
        Row("memory-1.3.idle", "memory of an idle connection, TLS 1.3", "bytes"),
        Row("memory-1.3.after", "the same after 16 KB each way", "bytes"),
        Row("storm.quiet.p50", "before the storm, median latency", "us"),
        Row("storm.quiet.p99", "before the storm, p99", "us"),
        Row("storm.quiet.p999", "before the storm, p99.9", "us"),
        Row("storm.p50", "in the storm, median latency", "us"),
        Row("storm.p99", "in the storm, p99", "us"),
        Row("storm.p999", "in the storm, p99.9", "us"),
        Row("storm.newcomers", "new clients' handshakes meanwhile (more is better)", "/s", max),
        Row("storm.busy", "share of that time in which the proxy was busy", "%", None),
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
    """The best median of all peers and whose it is; (None, "") without a peer."""
    found = [(m, proxy) for proxy in results.get(key, {}) if proxy != OURS
             if (m := median(results, key, proxy)) is not None]
    return best(found, default=(None, ""))


class Bar:
    """A figure that Postern must not exceed. `of` computes it from the results, or gives None."""

    def __init__(self, title, of, at_most, stretch, unit=""):
        self.title = title
        self.of = of
        self.at_most = at_most
        self.stretch = stretch
        self.unit = unit

    def verdict(self, value):
        if value is None:
            return "not measured"
        if self.stretch is not None and value <= self.stretch:
            return "PASS, stretch"
        return "PASS" if value <= self.at_most else "MISS"


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


BARS = [
    Bar("full handshake, ECDSA, TLS 1.2", _to_best("handshake-ecdsa-1.2"), 0.50, 0.40),
    Bar("full handshake, ECDSA, TLS 1.3", _to_best("handshake-ecdsa-1.3"), 0.50, 0.40),
    Bar("full handshake, RSA-2048, TLS 1.2", _to_best("handshake-rsa-1.2"), 0.75, 0.68),
    Bar("full handshake, RSA-2048, TLS 1.3", _to_best("handshake-rsa-1.3"), 0.75, 0.68),
    Bar("resumed, TLS 1.2", _to_best("resumed-1.2"), 0.60, 0.48),
    Bar("resumed, TLS 1.3", _to_best("resumed-1.3"), 0.60, 0.48),
    Bar("GB up, 16 KB", _to_best("up-16384"), 0.95, 0.88),
    Bar("GB down, 16 KB", _to_best("down-16384"), 0.95, 0.88),
    Bar("GB up, 256-byte records", _to_best("up-256"), 0.85, 0.60),
    Bar("small message echoed", _to_best("messages"), 0.85, 0.75),
    Bar("idle memory per connection, TLS 1.2", _own("memory-1.2.idle"), 4200, 3400, "bytes"),
    Bar("idle memory per connection, TLS 1.3", _own("memory-1.3.idle"), 4200, 3400, "bytes"),
    Bar("memory after 16 KB each way to memory before, TLS 1.2",
        _to_own("memory-1.2.after", "memory-1.2.idle"), 1.01, None),
    Bar("memory after 16 KB each way to memory before, TLS 1.3",
        _to_own("memory-1.3.after", "memory-1.3.idle"), 1.01, None),
    Bar("median in a storm", _to_best("storm.p50"), 1.0, 0.6),
    Bar("p99 in a storm", _to_best("storm.p99"), 1.0, 0.6),
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


def figures(run):
    """The first table: a list of lists of text, the head first."""
    results, proxies = run["results"], run["proxies"]
    ours = [name for name in proxies if name == OURS]
    peers = [name for name in proxies if name != OURS]
    table = [["work", "unit"] + [f"{name} {proxies[name]}" for name in ours + peers]
             + ["Postern to the best peer"]]
    for row in rows_of(results):
        table.append([row.title, row.unit]
                     + [_cell(results, row.key, name) for name in ours + peers]
                     + [_ratio(results, row)])
    return table


def bars(run):
    table = [["what it must show", "at most", "stretch", "is", ""]]
    for bar in BARS:
        value = bar.of(run["results"])
        unit = f" {bar.unit}" if bar.unit else ""
        stretch = "-" if bar.stretch is None else f"{bar.stretch:,}{unit}"
        shown = "-" if value is None else f"{number(value) if bar.unit else f'{value:.2f}'}{unit}"
        table.append([bar.title, f"{bar.at_most:,}{unit}", stretch, shown, bar.verdict(value)])
    return table


def facts_line(run):
    m = run["machine"]
    return (f"{m['day']}; {m['processor']}, {m['processors']} processors; Linux {m['kernel']}, "
            f"{m['system']}; peers and clients with {m['openssl'].split(' (')[0]}; "
            f"medians of {run['rounds']} rounds, lowest and highest in parentheses")


def as_text(table):
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in table) + "\n"


def as_markdown(table):
    lines = ["| " + " | ".join(line) + " |" for line in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0])] + lines[1:]) + "\n"


def text(run):
    return "\n".join([facts_line(run) + "\n", as_text(figures(run)), as_text(bars(run))])


def markdown(run):
    return "\n".join([f"Measured {facts_line(run)}.\n", as_markdown(figures(run)),
                      as_markdown(bars(run))])
