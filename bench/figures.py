"""Figures that were measured several times: medians, spreads, and ratios of pairs."""

from dataclasses import dataclass
from math import comb
from statistics import median


@dataclass(frozen=True)
class Measured:
    """The runs of one figure for one program, in the order in which they were made."""

    runs: list

    @property
    def median(self):
        return median(self.runs)

    def text(self, form):
        """The median, and the least and the most where they differ."""
        middle, least, most = (format(value, form) for value in (self.median, min(self.runs), max(self.runs)))
        return middle if least == most else f"{middle} ({least} to {most})"

    def interval(self):
        """Two of the runs between which the true median lies in 95 of 100 cases, however runs are distributed. Fewer
        than six runs cannot tell: the least and the most."""
        ordered, count = sorted(self.runs), len(self.runs)
        outside = [2 * sum(comb(count, below) for below in range(rank)) / 2**count for rank in range(1, count // 2 + 1)]
        rank = max(1, sum(share <= 0.05 for share in outside))
        return ordered[rank - 1], ordered[-rank]

    def ratio_to(self, other):
        """This one's runs by the other's, pair by pair: they ran one after the other."""
        return Measured([mine / theirs for mine, theirs in zip(self.runs, other.runs) if theirs])


def collect(samples):
    """`[{figure: value}, ...]` of the runs becomes `{figure: Measured}`."""
    figures = dict.fromkeys(figure for sample in samples for figure in sample)
    return {figure: Measured([sample[figure] for sample in samples if figure in sample]) for figure in figures}
