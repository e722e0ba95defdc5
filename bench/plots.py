"""A chart for each case: every sample by contender; beside it the phases, stacked, or the scaling curves."""

# pyright: reportUnknownMemberType=false
# (matplotlib's own types are partly unknown.)

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # No window: before pyplot looks for one.

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .report import CaseReport
from .soak import Sample

_JITTER = 0.25
_FORMATS = ("png", "svg")


def plot(case: CaseReport, folder: Path) -> None:
    """Write a case's chart, as PNG and as SVG."""
    phased = {
        name: summary for name, summary in case.summaries.items() if any(it.value for it in summary.phases.values())
    }
    height = 1.2 + 0.5 * len(case.samples)
    has_second = bool(phased or case.curves)
    figure, axes = plt.subplots(1, 2 if has_second else 1, figsize=(14 if has_second else 8, height), squeeze=False)
    _distribution(axes[0][0], case)
    if case.curves:
        _curves(axes[0][1], case)
    elif phased:
        _phases(axes[0][1], case, list(phased))
    figure.suptitle(case.title)
    figure.tight_layout()
    for kind in _FORMATS:
        figure.savefig(folder / f"{case.name}.{kind}", dpi=120)
    plt.close(figure)


def plot_soak(samples: Sequence[Sample], folder: Path) -> None:
    """Write the memory and the descriptors of a soak, over its runs: ``soak.svg``."""
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 4.5), sharex=True)
    runs = [it.runs for it in samples]
    upper.plot(runs, [it.memory for it in samples], linewidth=1)
    upper.set_ylabel("resident memory, MiB")
    lower.plot(runs, [it.descriptors for it in samples], linewidth=1, color="tab:orange")
    lower.set_ylabel("open descriptors")
    lower.set_xlabel("finished runs")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "soak.svg", metadata={"Date": None})
    plt.close(figure)


def _distribution(axes: Axes, case: CaseReport) -> None:
    """Every sample as a dot, its height in the row counting the rounds; the median as a bar with its interval."""
    scale, unit = _scale(case)
    for row, (name, samples) in enumerate(case.samples.items()):
        values = [sample.value * scale for sample in samples]
        last = max(1, len(values) - 1)
        heights = [row - _JITTER + 2 * _JITTER * at / last for at in range(len(values))]
        axes.scatter(values, heights, s=14, alpha=0.6)
        median, low, high = (figure * scale for figure in case.summaries[name].median)
        axes.hlines(row, low, high, color="black", linewidth=2)
        axes.vlines(median, row - _JITTER, row + _JITTER, color="black", linewidth=1.5)
    _rows(axes, list(case.samples))
    axes.set_xlabel(unit)
    axes.set_xlim(left=0)


def _phases(axes: Axes, case: CaseReport, names: list[str]) -> None:
    """The medians of the phases, one behind the other."""
    scale, unit = _scale(case)
    phases = list(dict.fromkeys(phase for name in names for phase in case.summaries[name].phases))
    left = [0.0] * len(names)
    for phase in phases:
        widths = [
            case.summaries[name].phases[phase].value * scale if phase in case.summaries[name].phases else 0.0
            for name in names
        ]
        if any(widths):
            axes.barh(range(len(names)), widths, left=left, height=0.5, label=phase)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    _rows(axes, names)
    axes.set_xlabel(f"{unit}, medians of the phases")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _curves(axes: Axes, case: CaseReport) -> None:
    """Each curve's medians, with their intervals, over the concurrency."""
    scale, unit = _scale(case)
    for curve, names in case.curves.items():
        medians = [case.summaries[name].median for name in names.values()]
        values = [it.value * scale for it in medians]
        # Of few samples the interval may end before the median does, by a rounding.
        below = [max(0.0, it.value - it.low) * scale for it in medians]
        above = [max(0.0, it.high - it.value) * scale for it in medians]
        axes.errorbar(list(names), values, yerr=(below, above), marker="o", capsize=3, label=curve)
    ticks = sorted({place for names in case.curves.values() for place in names})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(place) for place in ticks])
    axes.set_xlabel(case.curve_axis)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.legend()


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def _scale(case: CaseReport) -> tuple[float, str]:
    return (1000, "ms") if case.unit == "s" else (1, case.unit)
