"""The tables and the plot of what `proxy.py` measured."""

from figures import collect

BASE = "nginx-best"
FORMS = {"cpu s per GiB": ".2f", "cpu ms per 1,000": ",.0f", "MiB per s": ",.0f", "requests per s": ",.0f",
         "p50 ms": ".2f", "p99 ms": ".2f", "p99.9 ms": ".2f", "peak MB": ".1f"}
TITLES = {"bulk": "One blob for each connection", "small": "Small requests with a password (bcrypt cost 10)",
          "users": "Lines in the htpasswd file"}


def measured(scenario):
    """`{contender: {figure: Measured}}`"""
    return {name: collect(samples) for name, samples in scenario["samples"].items()}


def groups(scenarios):
    """`{kind: {case: {contender: {figure: Measured}}}}`"""
    kinds = {}
    for name, scenario in scenarios.items():
        kind, _, case = name.partition("/")
        kinds.setdefault(kind, {})[case] = measured(scenario)
    return kinds


def cell(figure, mine, base):
    if mine is None:
        return "-"
    middle = format(mine.median, FORMS[figure])
    return middle if base is None or base is mine else f"{middle} ({mine.ratio_to(base).text('.2f')})"


def tables(kind, cases):
    """A table a figure: a line a case, a column a contender, each with its ratio to nginx at its best."""
    contenders = list(dict.fromkeys(name for case in cases.values() for name in case))
    figures = list(dict.fromkeys(figure for case in cases.values() for of in case.values() for figure in of))
    yield from ["", f"### {TITLES[kind]}"]
    for figure in figures:
        yield from ["", f"| {figure} | " + " | ".join(contenders) + " |", "|---|" + "---|" * len(contenders)]
        for case, of in cases.items():
            base = of.get(BASE, {}).get(figure)
            cells = [cell(figure, of.get(name, {}).get(figure), base) for name in contenders]
            yield f"| {case} | " + " | ".join(cells) + " |"


def text(results):
    machine, scenarios = results["machine"], results["scenarios"]
    dates = sorted({scenario["date"] for scenario in scenarios.values()})
    loads = [scenario["load before"] for scenario in scenarios.values()]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, {machine['processor']}, Linux {machine['kernel']}; "
             f"{versions}; load average before a scenario {min(loads)} to {max(loads)}. Each cell is the median, and in "
             f"brackets the ratio to {BASE}, run by run: the median (least to most)."]
    for kind, cases in groups(scenarios).items():
        lines += tables(kind, cases)
    return "\n".join(lines)


def beside(path, results):
    """Writes the tables beside the results; the file's name."""
    table = path.with_suffix(".md")
    table.write_text(text(results) + "\n")
    return table.name
