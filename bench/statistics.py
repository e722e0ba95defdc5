"""Medians, percentiles and ratios, with bootstrap intervals. Pure.

A bootstrap draws the rounds anew, with replacement, and asks how much the figure moves: no assumption about the
distribution, which has a long tail here. Ratios are taken within a round, since what slowed the machine down in a round
slowed down both sides.
"""

import math
import random
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
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
    """How many times as large the values are; those at one index are of the same round.

    The Hodges-Lehmann estimate (1963) of the rounds' ratios, on a logarithmic scale: the median of the geometric means
    of every two. It shrugs off outliers as a median does. On a noisy machine its intervals are half to two thirds as
    wide as those of the ratio of the medians, which a round that is slow for both sides moves.
    """
    logs = [math.log(value / other) for value, other in zip(values, base, strict=True)]

    def of(rounds: Sequence[int]) -> float:
        drawn = [logs[at] for at in rounds]
        return math.exp(median((one + other) / 2 for one, other in combinations_with_replacement(drawn, 2)))

    return _bootstrap(len(logs), of)


def _bootstrap(size: int, figure: Callable[[Sequence[int]], float]) -> Estimate:
    rng = random.Random(_SEED)  # noqa: S311 - statistics, not secrets
    whole = range(size)
    drawn = [figure(rng.choices(whole, k=size)) for _ in range(RESAMPLES if size > 1 else 0)]
    value = figure(whole)
    tail = (1 - _CONFIDENCE) / 2
    return Estimate(value, percentile(drawn or [value], tail), percentile(drawn or [value], 1 - tail))
