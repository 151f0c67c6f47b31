#!/usr/bin/env python3
"""Makes the tables of bench/NOTES.md, and the plots of docs/, of what `bench.py`, `bucket.py` and `proxy.py` measured.

    python3 bench/report.py          needs matplotlib (python3 -m pip install matplotlib)

The tables stand between marks in the document; the words around them are written by hand.
"""

import json
import re

import proxy_report
from figures import collect
from runs import RESULTS
from servers import REPOSITORY_ROOT

DOCUMENT = REPOSITORY_ROOT / "bench/NOTES.md"
PLOT = REPOSITORY_ROOT / "docs/performance.svg"
PROXY_PLOT = REPOSITORY_ROOT / "docs/performance-proxy.svg"
OURS, THEIRS = "lockgate-backend", "docker-registry"
COLOURS = {OURS: "#0b6e4f", THEIRS: "#b5651d"}

# A figure's name, and how its numbers are written.
FORMS = {"s": ".2f", "passes": ".2f", "ratio": ".2f", "us": ",.0f", "ms": ",.1f", "MB": ".1f", "pushes": ".1f", "requests": ".0f"}


def form_of(figure):
    return FORMS[figure.split()[-1]]


def table(scenario):
    """A line a figure: both programs' median (least to most), and the ratio run by run."""
    ours, theirs = (collect(scenario["samples"][name]) for name in (OURS, THEIRS))
    lines = [f"| figure | {OURS} | {THEIRS} | ratio |", "|---|---|---|---|"]
    for figure, measured in ours.items():
        other, form = theirs[figure], form_of(figure)
        ratio = measured.ratio_to(other).text(".2f")
        lines.append(f"| {figure} | {measured.text(form)} | {other.text(form)} | {ratio} |")
    return lines


def goal(scenario):
    """What holds of the goal for pushes, and what no program can reach."""
    measured = collect(scenario["samples"][OURS])
    stored, floor = (measured.get(f"receive, write, {part}cpu s") for part in ("sync ", "hash, sync "))
    if not stored or not floor:
        return
    bare, push = measured["bare hash cpu s"].median, measured["push cpu s"].median
    verdict = "no such program reaches the goal here" if floor.median > 1.2 * bare else "the goal is within reach"
    yield ""
    yield (f"The goal was a push in 1.2 bare hash passes, {1.2 * bare:.2f} s. To receive, write and sync these bytes "
           f"takes {stored.median:.2f} s by itself, in a program without HTTP or hash, and {floor.median:.2f} s with "
           f"one hash pass ({floor.median / bare:.2f} passes): {verdict}. A push takes {push:.2f} s, {push / floor.median:.2f} times that.")


def growth_tables(scenarios):
    """A table a kind: a line a figure and program, a column a size."""
    for kind, sizes in growth(scenarios).items():
        counts = sorted(sizes)
        yield f"Holding so many {kind}:"
        yield ""
        yield "| figure | program | " + " | ".join(f"{count:,}" for count in counts) + " |"
        yield "|---|---|" + "---|" * len(counts)
        for figure in dict.fromkeys(figure for count in counts for figure in sizes[count][OURS]):
            for name in (OURS, THEIRS):
                measured = [sizes[count][name].get(figure) for count in counts]
                cells = [format(runs.median, form_of(figure)) if runs else "-" for runs in measured]
                yield f"| {figure} | {name} | " + " | ".join(cells) + " |"
        yield ""


def growth(scenarios):
    """`{kind: {count: {server: {figure: Measured}}}}`"""
    kinds = {}
    for name, scenario in scenarios.items():
        kind, _, count = name.partition("/")
        if count:
            samples = scenario["samples"]
            kinds.setdefault(kind, {})[int(count)] = {server: collect(runs) for server, runs in samples.items()}
    return kinds


def measured_section(results, masked):
    machine, scenarios = results["machine"], results["scenarios"]
    dates = sorted({scenario["date"] for scenario in scenarios.values()})
    loads = [scenario["load before"] for scenario in scenarios.values()]
    yield (f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, {machine['processor']}, Linux {machine['kernel']}; "
           f"docker-registry {machine['docker-registry']}; load average before a scenario {min(loads)} to {max(loads)}. "
           "Each cell is the median (least to most).")
    for title, name in [("One blob of 512 MiB", "transfer"), ("An image's manifest", "manifests"),
                        ("32 pushes at once", "pushes")]:
        yield from ["", f"#### {title}", "", *table(scenarios[name])]
        if name == "transfer":
            yield from goal(scenarios[name])
    if masked:
        transfer = masked["scenarios"]["transfer"]
        yield from ["", "#### The same blob, the SHA instructions masked", "", *table(transfer), *goal(transfer)]
    yield from ["", "#### Growth", "", "![Cost of a request by what the registry holds](../docs/performance.svg)", ""]
    yield from growth_tables(scenarios)


def bucket_section(results):
    machine, scenarios = results["machine"], results["scenarios"]
    dates = sorted({scenario["date"] for scenario in scenarios.values()})
    yield (f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, {machine['processor']}, Linux {machine['kernel']}, SeaweedFS "
           "on the same machine. Each cell is the median (least to most).")
    for title, name in [("1 GiB in 40 layers, five at once", "large"),
                        ("An image of one small layer: requests to the store", "small")]:
        if name in scenarios:
            yield from ["", f"#### {title}", "", *table(scenarios[name])]
    yield from ["", "#### Growth", ""]
    yield from growth_tables(scenarios)


def plot(scenarios):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lockgate", "font.size": 9})
    from matplotlib import pyplot

    panels = [("tags", "page us", "a page of 100 tags"), ("repositories", "page us", "a page of 100 repositories"),
              ("tags", "PUT us", "PUT of a manifest, a new tag"), ("tags", "DELETE us", "DELETE of a manifest"),
              ("blobs", "HEAD us", "HEAD of a blob"), ("blobs", "PUT us", "push of a blob"),
              ("blobs", "mount us", "mount of a blob"), ("blobs", "peak MB", "peak memory")]
    figure, axes = pyplot.subplots(2, len(panels) // 2, figsize=(13, 6.4), layout="constrained")
    kinds = growth(scenarios)
    for axis, (kind, what, title) in zip(axes.flat, panels):
        counts = sorted(kinds[kind])
        for name, colour in COLOURS.items():
            measured = [(count, kinds[kind][count][name].get(what)) for count in counts]
            points = [(count, runs.median) for count, runs in measured if runs]
            axis.plot(*zip(*points), "o-", color=colour, label=name)
        axis.set(title=title, xlabel=f"{kind} in the registry", xscale="log", yscale="log")
        axis.set_ylim(*((1, 1000) if what.endswith("MB") else (30, 10_000_000)))
        axis.set_ylabel("MB" if what.endswith("MB") else "server's processor time, us")
        axis.grid(True, which="major", alpha=0.3)
    axes.flat[0].legend()
    figure.savefig(PLOT, metadata={"Date": None})
    return figure


def insert(mark, section):
    """Puts the section between its two marks in the document."""
    begin, end = f"<!-- {mark}: by bench/report.py -->", f"<!-- end of {mark} -->"
    marked = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    text, found = marked.subn(lambda _: f"{begin}\n\n{section.strip()}\n\n{end}", DOCUMENT.read_text())
    if not found:
        raise SystemExit(f"{DOCUMENT} has no {begin}")
    DOCUMENT.write_text(text)


def results_of(name):
    """What was measured, or nothing."""
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


def main():
    if results := results_of("registry.json"):
        insert("measured", "\n".join(measured_section(results, results_of("registry-without-sha.json"))))
        plot(results["scenarios"])
    if results := results_of("bucket.json"):
        insert("measured bucket", "\n".join(bucket_section(results)))
    if results := results_of("proxy.json"):
        picture = f"![Ratios to nginx at its best](../docs/{PROXY_PLOT.name})"
        insert("measured proxy", f"{proxy_report.text(results)}\n\n{picture}")
        proxy_report.plot(PROXY_PLOT, results)


if __name__ == "__main__":
    main()
