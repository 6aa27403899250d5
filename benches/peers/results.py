#!/usr/bin/env python3
"""Creates tables and a plot from the measurements of `bench run --json` and `callgrind.sh`.

    results.py CODEC.json [--instructions FILE] [--print] [--md FILE] [--svg FILE]

--print prints the tables that compare hybi with the best peer and with the targets of targets.json. --md writes
these tables and all others as Markdown. --svg plots the most important cells. The same input always gives the same
output.

A peer is a contender that is neither hybi nor a floor; the names of floors are in parentheses. In cells where
clients send, only contenders with strong random masking keys count as peers.
"""
import argparse
import json
import os
import platform
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def is_hybi(name):
    return name.split("-")[0] == "hybi"


def is_peer(name):
    return not is_hybi(name) and not name.startswith("(")


def is_client_send(cell):
    return cell[0].startswith("client-send")


class Results:
    """The measurements: a map from cell (group, column) to contender to row."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        self.native, self.quick = data["target_cpu_native"], data["quick"]
        self.info = {c["name"]: c for c in data["contenders"]}
        self.cells, self.limits = {}, {}
        for row in data["rows"]:
            cells = self.limits if row["group"] == "limit" else self.cells
            cells.setdefault((row["group"], row["col"]), {})[row["contender"]] = row

    def ns(self, cell, name):
        row = self.cells.get(cell, {}).get(name)
        return row and row["min_ns"]

    def is_rival(self, cell, name):
        """Returns whether a peer does all the required work of a cell.

        A client that sends must draw its masking keys from a strong source (RFC 6455 10.3), which is half of the
        work. So clients with weak keys do not count.
        """
        weak = self.info.get(name, {}).get("weak_keys")
        return is_peer(name) and not (is_client_send(cell) and weak)

    def best(self, cell, suits=None):
        """Returns name and time of the fastest peer that `suits` accepts; by default of the fastest rival."""
        suits = suits or (lambda info: self.is_rival(cell, info["name"]))
        rows = self.cells.get(cell, {}).items()
        found = [(row["min_ns"], name) for name, row in rows if is_peer(name) and suits(self.info[name])]
        return min(found)[::-1] if found else (None, None)


def number(value):
    """Formats a number with at least two significant digits."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def verdict(value, must, aim):
    if value is None or must is None:
        return ""
    return "aim" if value <= aim else "must" if value <= must else "**no**"


def table(head, rows):
    """Returns a Markdown table whose source is readable: equal column widths, numbers aligned to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    left = [i == 0 or head[i].startswith("best") for i in range(len(head))]

    def line(row):
        cells = (c.ljust(w) if l else c.rjust(w) for c, w, l in zip(row, widths, left))
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if l else ":") for w, l in zip(widths, left)) + "|"
    return "\n".join([line(head), rule] + [line(row) for row in rows]) + "\n"


def beside_the_best(results, targets):
    """Compares hybi with the best peer and with its targets. A target is a ratio or a time."""
    absolute = targets["nanoseconds in one write"]
    rows, missed = [], []
    for cell in results.cells:
        group, col = cell
        hybi, (name, best) = results.ns(cell, "hybi"), results.best(cell)
        if hybi is None:
            continue
        ratio = hybi / best if best else None
        value, unit = ratio, ""
        must, aim = targets["ratio"].get(group, {}).get(col, (None, None))
        if col in absolute.get(group, {}):
            (must, aim), value, unit = absolute[group][col], hybi, " ns"
            if results.cells[cell]["hybi"]["extra"] != 1:
                value = float("inf")  # more than one write misses the target, however fast
        met = verdict(value, must, aim)
        if met == "**no**":
            missed.append(f"{group}/{col}")
        floor = results.ns(cell, "(floor)")
        wanted = ("", "") if must is None else (f"{must:g}{unit}", f"{aim:g}{unit}")
        ratio = "–" if ratio is None else f"{ratio:.2f}"
        beside = [number(hybi), name or "–", number(best), ratio]
        rows.append([f"{group}/{col}", *beside, *wanted, met, number(floor)])
    head = ["cell", "hybi ns", "best peer", "its ns", "ratio", "must", "aim", "met", "floor ns"]
    return table(head, rows), missed


def compared(results, contender, suits, cells, must):
    """Compares a contender with the best of the peers that `suits` accepts."""
    rows, missed = [], []
    for cell in filter(cells, results.cells):
        ours, (name, best) = results.ns(cell, contender), results.best(cell, suits)
        if ours is None or best is None:
            continue
        met = verdict(ours / best, must, must).replace("aim", "yes")
        if met == "**no**":
            missed.append("/".join(cell))
        rows.append(["/".join(cell), number(ours), name, number(best), f"{ours / best:.2f}", met])
    return table(["cell", f"{contender} ns", "best such peer", "its ns", "ratio", "met"], rows), missed


def owning(results):
    """Compares the receiving of messages that own their data and so outlive the next read."""
    return compared(results, "hybi-owned", lambda info: info["owned"], lambda cell: "-recv-" in cell[0], 1.0)


def instructions(path, targets, results):
    """Returns a table of the lines `CELL CONTENDER INSTRUCTIONS` that callgrind.sh has written."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split(" ") for line in file if line.strip()]
    cells = {}
    for line in lines:
        # The name of a contender may contain spaces.
        cells.setdefault(line[0], {})[" ".join(line[1:-1])] = int(line[-1])
    rows = []
    for cell, counts in cells.items():
        group, col = cell.split("/")
        must, aim = targets["instructions"].get(group, {}).get(col, (None, None))
        rivals = (name for name in counts if results.is_rival((group, col), name))
        peers = sorted((counts[name], name) for name in rivals)
        count, name = peers[0] if peers else (None, "–")
        ours, owned = counts.get("hybi"), counts.get("hybi-owned")
        row = [cell, ours, owned, name, count, must, aim]
        row = ["" if value is None else f"{value:,}" if isinstance(value, int) else value for value in row]
        rows.append(row + [verdict(ours, must, aim)])
    return table(["cell", "hybi", "hybi-owned", "best peer", "its", "must", "aim", "met"], rows)


def all_numbers(results):
    """Returns a table for each group, with the reads (r) or writes (w) of the transport per message."""
    out = []
    for cells in (results.cells, results.limits):
        for group in dict.fromkeys(group for group, _ in cells):
            cols = [col for g, col in cells if g == group]
            names = dict.fromkeys(name for col in cols for name in cells[group, col])
            mark = "r" if "-recv-" in group else "w" if "-send-" in group else ""
            mark = {"deflate-server-send-json": "size ", "deflate-server-recv-json": ""}.get(group, mark)
            rows = []
            for name in names:
                row = [name]
                for col in cols:
                    value = cells[group, col].get(name)
                    if value is None:
                        row.append("–")
                        continue
                    extra = f" {mark}{value['extra']:.3g}" if mark else ""
                    row.append(f"{number(value['min_ns'])} ({number(value['median_ns'])}){extra}")
                rows.append(row)
            out.append(f"### {group}\n\n" + table([""] + cols, rows))
    return "\n".join(out)


def machine():
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.split(":")[1].strip() for line in file if line.startswith("model name"))
            model = next(names, model)
    except OSError:
        pass
    try:
        shown = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
        rustc = shown.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        rustc = "an unknown rustc"
    return f"{model}, {rustc}"


def report(results, targets, path):
    beside, _ = beside_the_best(results, targets)
    owned, _ = owning(results)
    weak, _ = compared(results, "hybi", lambda info: True, is_client_send, None)
    build = "target-cpu=native" if results.native else "the default target"
    run = "a quick run (`./run.sh quick`), for a first look only" if results.quick else "a full run (`./run.sh full`)"
    parts = [
        "# hybi compared with other libraries\n",
        f"Machine: {machine()}. Build: {build}.",
        f"These are the results of {run}.\n",
        "Nanoseconds are the minimum time for one message. Compare ratios only within one run on one machine. With a",
        "ratio below 1, hybi takes less time than the fastest other library, the best peer.\n",
        "## The best peer of each cell\n",
        beside,
        "`must` and `aim` are the required and the desired result of hybi. Each is a ratio, or a time for one vectored",
        "write.\n",
        "## Messages that own their data\n",
        "Here hybi is compared with the peers that also deliver messages which own their data.\n",
        owned,
    ]
    if any(map(is_client_send, results.cells)):
        parts += [
            "## Clients, compared with all peers\n",
            "In the first table, a client that sends is compared only with peers whose masking keys are strong random",
            "numbers. Here such a client is compared with all peers.\n",
            weak,
        ]
    if path:
        parts += ["## Instructions for one message\n", instructions(path, targets, results)]
    parts += [
        "## All numbers\n",
        "Each cell has the minimum and, in brackets, the median time for one message in nanoseconds. `r` and `w` are",
        "reads and writes of the transport for one message. `size` is the number of bytes sent for each byte of payload.\n",
        all_numbers(results),
    ]
    return "\n".join(parts)


# --- the plot ---

PANELS = [
    ("server-recv-binary", "Server receives binary"),
    ("server-recv-text-ascii", "Server receives text"),
    ("client-recv-binary", "Client receives binary"),
    ("client-send-binary", "Client sends binary"),
]
PLOT_COLS = ["16B", "125B", "1KiB", "64KiB"]
# Variants that only explain the result of their library, so they are not plotted.
LEFT_OUT = {"tungstenite/8K", "sockudo-ws/proto"}
NAMES, PANEL, GAP, BAR, TOP = 156, 168, 14, 13, 72
# A bar is cut if its time is more than this many times that of the best peer.
CUT = 4


def svg(results):
    """Returns a plot with one scale for each cell, in colours that are readable on white and on black."""
    names = [name for name in results.info if not name.startswith("(") and name not in LEFT_OUT]
    panels = [(g, title) for g, title in PANELS if any((g, col) in results.cells for col in PLOT_COLS)]
    height = TOP + len(panels) * (len(names) * BAR + 44) + 4
    width = NAMES + len(PLOT_COLS) * (PANEL + GAP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="system-ui, sans-serif" font-size="10" fill="#768390" role="img"'
        ' aria-label="Nanoseconds per message of hybi and other WebSocket libraries">',
        '<text x="0" y="16" font-size="14" font-weight="600">'
        "Nanoseconds for one message, shorter is better</text>",
        '<text x="0" y="34">Measured in memory, on one thread, in one run. A bar with a pointed end is cut:'
        f" its time is more than {CUT} times that of the best peer.</text>",
        '<text x="0" y="48">A pale bar marks masking keys that are not strong random numbers.</text>',
    ]
    y = TOP
    for group, title in panels:
        out.append(f'<text x="0" y="{y}" font-size="12" font-weight="600">{title}</text>')
        for i, col in enumerate(PLOT_COLS):
            if (group, col) in results.cells:
                x = NAMES + i * (PANEL + GAP)
                out.append(f'<text x="{x}" y="{y}" font-weight="600">{col}</text>')
        for j, name in enumerate(names):
            at = y + 8 + j * BAR
            style = ' fill="#1f9d77" font-weight="600"' if is_hybi(name) else ""
            out.append(f'<text x="{NAMES - 8}" y="{at + 9}" text-anchor="end"{style}>{name}</text>')
            for i, col in enumerate(PLOT_COLS):
                value, best = results.ns((group, col), name), results.best((group, col))[1]
                if value is None or best is None:
                    continue
                x = NAMES + i * (PANEL + GAP)
                space = PANEL - 46
                long = space * min(value / best, CUT) / CUT
                colour = "#1f9d77" if is_hybi(name) else "#a9b4c0"
                half = (BAR - 3) / 2
                end = f"v{BAR - 3}" if value / best <= CUT else f"l5,{half:g} l-5,{half:g}"
                pale = is_client_send((group, col)) and results.info[name]["weak_keys"]
                opacity = ' fill-opacity=".45"' if pale else ""
                out.append(f'<path d="M{x},{at} h{long:.1f} {end} H{x} z" fill="{colour}"{opacity}/>')
                out.append(f'<text x="{x + long + 8:.1f}" y="{at + 9}"{style}>{number(value)}</text>')
        y += len(names) * BAR + 44
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("codec")
    parser.add_argument("--instructions")
    parser.add_argument("--print", action="store_true")
    parser.add_argument("--md")
    parser.add_argument("--svg")
    args = parser.parse_args()
    results = Results(args.codec)
    with open(os.path.join(HERE, "targets.json"), encoding="utf-8") as file:
        targets = json.load(file)
    if args.print:
        beside, missed = beside_the_best(results, targets)
        owned, slower = owning(results)
        print(beside, owned, sep="\n")
        print("cells that miss `must`:", ", ".join(missed) or "none")
        print("cells in which hybi-owned is slower than the best such peer:", ", ".join(slower) or "none")
    if args.md:
        with open(args.md, "w", encoding="utf-8") as file:
            file.write(report(results, targets, args.instructions))
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as file:
            file.write(svg(results))


if __name__ == "__main__":
    main()
