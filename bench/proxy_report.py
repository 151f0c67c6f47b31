"""The tables and the plot of what `proxy.py` measured."""

import goals
from figures import collect

BASE = "nginx-best"
# Else everything is as fast as light beside a hash computed for each request.
BASES = {"small": goals.UNLOCKED, "mixed": goals.UNLOCKED, "users": goals.OURS, "image": goals.STACK}
TITLES = {
    "bulk": "Bulk: a blob for each connection",
    "small": "Small requests with a password (bcrypt cost 10)",
    "users": "The number of users",
    "handshake": "Handshakes, TLS 1.3",
    "held": "Idle connections",
    "pushes": "Many pushes at once",
    "image": "An image, by skopeo: a proxy and a registry together",
    "mixed": "Small requests beside bulk (bcrypt cost 5)",
}
COLOURS = {"lockgate": "#0b6e4f", "nginx-best": "#b5651d", "nginx-default": "#dba46b", "haproxy": "#4a6fa5",
           "caddy": "#8e5ea2", goals.UNLOCKED: "#7a4412"}
# Of the plot: (kind, figure, title).
PANELS = [("bulk", goals.BULK, "Processor time of a GiB, ratio to nginx-best (less is better)"),
          ("handshake", goals.SHAKING, "Processor time of a handshake, ratio to nginx-best (less is better)"),
          ("small", goals.RATE, "Small requests a second, ratio to nginx-best without a password (more is better)")]


def kinds_of(scenarios):
    """`{kind: {case: {contender: {figure: Measured}}}}`"""
    kinds = {}
    for name, scenario in scenarios.items():
        kind, _, case = name.partition("/")
        kinds.setdefault(kind, {})[case] = {
            contender: collect(samples) for contender, samples in scenario["samples"].items()}
    return kinds


def base_of(kind, of, figure):
    """What this case's ratios are to."""
    return of.get(BASES.get(kind, BASE), {}).get(figure)


def number(value):
    """With three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cell(mine, base):
    if mine is None:
        return "-"
    if base is None or base is mine:
        return number(mine.median)
    ratio = mine.ratio_to(base)
    spread = f", {number(min(ratio.runs))} to {number(max(ratio.runs))}" if len(ratio.runs) > 1 else ""
    return f"{number(mine.median)} (**{number(ratio.median)}**{spread})"


def tables(kind, cases):
    """A table a figure: a line a case, a column a contender."""
    contenders = list(dict.fromkeys(name for case in cases.values() for name in case))
    figures = list(dict.fromkeys(figure for case in cases.values() for of in case.values() for figure in of))
    yield from ["", f"### {TITLES[kind]}", "", f"Ratios are to {BASES.get(kind, BASE)}."]
    for figure in figures:
        yield from ["", f"| {figure} | " + " | ".join(contenders) + " |", "|---|" + "---|" * len(contenders)]
        for case, of in cases.items():
            cells = [cell(of.get(name, {}).get(figure), base_of(kind, of, figure)) for name in contenders]
            yield f"| {case} | " + " | ".join(cells) + " |"


def text(results):
    machine, scenarios = results["machine"], results["scenarios"]
    dates = sorted({scenario["date"] for scenario in scenarios.values()})
    loads = [scenario["load before"] for scenario in scenarios.values()]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    kinds = kinds_of(scenarios)
    lines = [f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, {machine['processor']}, Linux {machine['kernel']}; "
             f"{versions}; load average before a scenario {min(loads)} to {max(loads)}. Each cell is the median, and "
             "in brackets the ratio run by run: the median, and least to most.", "", *goals.table(kinds)]
    for kind, cases in kinds.items():
        lines += tables(kind, cases)
    return "\n".join(lines)


def bars(axis, kind, figure, title, cases):
    """Each case's ratios as bars, with their spread."""
    contenders = [name for name in COLOURS if any(figure in of.get(name, {}) for of in cases.values())]
    height = 0.8 / len(contenders)
    for place, name in enumerate(contenders):
        points = []
        for line, of in enumerate(cases.values()):
            base = base_of(kind, of, figure)
            ratio = of[name][figure].ratio_to(base) if base and figure in of.get(name, {}) else None
            if ratio and ratio.runs:
                points.append((line + (place + 0.5) * height - 0.4, ratio.median, ratio.median - min(ratio.runs),
                               max(ratio.runs) - ratio.median))
        if points:
            where, medians, below, above = zip(*points)
            axis.barh(where, medians, height * 0.9, xerr=(below, above), color=COLOURS[name], label=name,
                      error_kw={"elinewidth": 0.7, "ecolor": "#444444"})
    axis.set_yticks(range(len(cases)), list(cases))
    axis.invert_yaxis()
    axis.axvline(1, color="#444444", linewidth=0.8)
    axis.set_title(title)
    axis.set_axisbelow(True)
    axis.grid(True, axis="x", alpha=0.3)


def plot(path, results):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lockgate", "font.size": 9})
    from matplotlib import pyplot

    kinds = kinds_of(results["scenarios"])
    panels = [panel for panel in PANELS if panel[0] in kinds]
    if not panels:
        return
    rows = [len(kinds[kind]) for kind, *_ in panels]
    figure, axes = pyplot.subplots(len(panels), figsize=(9, 1.2 + 0.62 * sum(rows)), layout="constrained",
                                   squeeze=False, height_ratios=rows)
    for axis, (kind, what, title) in zip(axes.flat, panels):
        bars(axis, kind, what, title, kinds[kind])
        if kind == "small":
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
    handles = {label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    figure.savefig(path, metadata={"Date": None})


def beside(path, results):
    """Writes the tables and the plot beside the results; their names."""
    table, picture = path.with_suffix(".md"), path.with_suffix(".svg")
    table.write_text(text(results) + "\n")
    try:
        plot(picture, results)
    except ImportError:
        return f"{table.name}; for the plot: python3 -m pip install matplotlib, then python3 bench/proxy.py --show"
    return f"{table.name}, {picture.name}"
