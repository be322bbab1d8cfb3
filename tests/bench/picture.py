"""An SVG of the main comparisons, for the README: bars to scale, Postern's marked."""

from html import escape

from report import OURS, median, number

PANELS = [
    ("handshake-ecdsa-1.2", "Full handshake, ECDSA", "us of processor time"),
    ("resumed-1.2", "Resumed handshake", "us of processor time"),
    ("messages", "Small message echoed", "us of processor time"),
    ("up-16384", "One GB to the broker", "s of processor time"),
    ("memory-1.2.idle", "Idle connection", "bytes of memory"),
    ("storm.p90", "p90 latency in a storm", "us"),
]
ACROSS = 2
PANEL_WIDTH, NUMBER_WIDTH = 430, 70
LETTER = 7  # of a label, in pixels at most
BAR, GAP, HEAD = 16, 6, 46
OURS_COLOUR, PEERS_COLOUR, TEXT_COLOUR = "#0b7a75", "#b8bfc6", "#57606a"


def _text(x, y, words, size=12, anchor="start", weight="normal", colour=TEXT_COLOUR):
    return (f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="{colour}">{escape(words)}</text>')


def _panel(results, proxies, key, title, unit, left, top):
    figures = [(name, median(results, key, name)) for name in proxies]
    longest = max((value for _, value in figures if value is not None), default=1) or 1
    labels = 20 + LETTER * max(map(len, proxies))
    room = PANEL_WIDTH - labels - NUMBER_WIDTH - 30
    parts = [_text(left, top + 16, title, 14, weight="bold"),
             _text(left, top + 33, f"{unit}, less is better", 11)]
    for i, (name, value) in enumerate(figures):
        y = top + HEAD + i * (BAR + GAP)
        colour = OURS_COLOUR if name == OURS else PEERS_COLOUR
        weight = "bold" if name == OURS else "normal"
        parts.append(_text(left + labels - 8, y + 12, name, anchor="end", weight=weight))
        if value is None:
            parts.append(_text(left + labels, y + 12, "does not offer it", 11))
            continue
        width = max(1, round(room * value / longest, 1))
        parts.append(f'<rect x="{left + labels}" y="{y}" width="{width}" height="{BAR}" '
                     f'rx="2" fill="{colour}"/>')
        parts.append(_text(left + labels + width + 6, y + 12, number(value), weight=weight))
    return "\n".join(parts)


def draw(run):
    results, proxies = run["results"], list(run["proxies"])
    panels = [panel for panel in PANELS if panel[0] in results]
    height_each = HEAD + len(proxies) * (BAR + GAP) + 22
    lines = -(-len(panels) // ACROSS)
    width, height = ACROSS * PANEL_WIDTH, lines * height_each + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" '
             'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">']
    for i, (key, title, unit) in enumerate(panels):
        parts.append(_panel(results, proxies, key, title, unit, 15 + i % ACROSS * PANEL_WIDTH,
                            8 + i // ACROSS * height_each))
    machine = run["machine"]
    parts.append(_text(15, height - 10, f"{machine['processor']}, one worker each, medians of "
                       f"{run['rounds']} rounds, {machine['day']}", 10))
    return "\n".join(parts + ["</svg>"]) + "\n"
