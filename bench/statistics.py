"""Medians, percentiles and ratios, with bootstrap intervals. Pure.

A bootstrap draws the rounds anew, with replacement, and asks how much the figure moves: no assumption about the
distribution, which has a long tail here. Ratios draw the same rounds for both sides, since what slowed the machine down
in a round slowed down both.
"""

import math
import random
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

RESAMPLES = 1000
_CONFIDENCE = 0.95
_SEED = 20  # Fixed: the same samples give the same report.


class Estimate(NamedTuple):
    """A figure, and the 95 % interval that it lies in."""

    value: float
    low: float
    high: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share (0 to 1) of the values lies, linearly between two of them."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return percentile(values, 0.95)


def estimate(values: Sequence[float], figure: Callable[[Sequence[float]], float] = median) -> Estimate:
    """A figure of the values, and its interval."""
    return _bootstrap(len(values), lambda rounds: figure([values[at] for at in rounds]))


def ratio(values: Sequence[float], base: Sequence[float]) -> Estimate:
    """The ratio of two medians; values at one index are of the same round."""

    def of(rounds: Sequence[int]) -> float:
        return median(values[at] for at in rounds) / median(base[at] for at in rounds)

    return _bootstrap(min(len(values), len(base)), of)


def _bootstrap(size: int, figure: Callable[[Sequence[int]], float]) -> Estimate:
    rng = random.Random(_SEED)  # noqa: S311 - statistics, not secrets
    whole = range(size)
    drawn = [figure(rng.choices(whole, k=size)) for _ in range(RESAMPLES if size > 1 else 0)]
    value = figure(whole)
    tail = (1 - _CONFIDENCE) / 2
    return Estimate(value, percentile(drawn or [value], tail), percentile(drawn or [value], 1 - tail))
