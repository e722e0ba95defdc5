"""A case, its contenders, and how they are measured.

The contenders take turns within each round, in an order that is shuffled every time: in a fixed order each one follows
the same neighbour and inherits its load (the same code read 1.07 x the floor in a fixed order and 0.98-1.00 shuffled).
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

PAUSE = 0.1
"""Seconds between two samples, in which the daemon finishes what it does behind its answers."""


@dataclass(frozen=True)
class Sample:
    """One measurement: a value in its case's unit, and the parts that it is made of, where there are any.

    `extra` is what else was seen: by names that tell their unit, since they have not the case's.
    """

    value: float
    phases: Mapping[str, float] = field(default_factory=dict[str, float])
    extra: Mapping[str, float] = field(default_factory=dict[str, float])


Contender = Callable[[], Awaitable[Sample]]

Curves = Mapping[str, Mapping[int, str]]
"""Names of contenders, by the curve that they are on and by their place on it."""


@dataclass(frozen=True)
class Goal:
    """A promise about two contenders: the ratio of the one to the other is at most `limit`, or at least.

    Args:
        contender: whose samples are divided,
        base: and by whose; None: the contender's median itself is held against the limit.
        limit: the bound.
        phase: of which part of the samples; None: of their values.
        whole_base: a phase of the contender is divided by the base's value, not by the same phase of it.
        at_least: the bound is from below.
    """

    contender: str
    base: str | None
    limit: float
    phase: str | None = None
    whole_base: bool = False
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Whether a value keeps the promise."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Case:
    """One question.

    Args:
        name: what ``--case`` takes.
        title: what is measured, in a line.
        contenders: who takes part, by name; the first is what the others are compared with.
        rounds: how many samples of each.
        unit: of the samples' values.
        goals: what should come out.
        curves: the contenders that are one peer at several places, by peer and place: concurrencies, mostly.
        curve_axis: what the places are.
        warm_up: whether each contender has a round that does not count.
    """

    name: str
    title: str
    contenders: Mapping[str, Contender]
    rounds: int
    unit: str = "s"
    goals: tuple[Goal, ...] = ()
    curves: Curves = field(default_factory=dict[str, Mapping[int, str]])
    curve_axis: str = "at a time"
    warm_up: bool = True


Series = dict[str, list[Sample]]
"""Samples by contender, in the order of the rounds: those at one index are of the same round."""


async def measure(case: Case, rng: random.Random, progress: Callable[[int], None]) -> Series:
    """All rounds of a case. `progress` is told each round as it begins; 0 is the one that does not count."""
    series: Series = {name: [] for name in case.contenders}
    for round_number in range(0 if case.warm_up else 1, case.rounds + 1):
        progress(round_number)
        order = list(case.contenders)
        rng.shuffle(order)
        for name in order:
            await trio.sleep(PAUSE)
            sample = await case.contenders[name]()
            if round_number:
                series[name].append(sample)
    return series


def blocking(function: Callable[[], Sample]) -> Contender:
    """A contender that blocks the event loop, on which nothing else runs."""

    async def contender() -> Sample:  # No thread: its hops would be measured, too.
        return function()

    return contender


def timed(function: Callable[[], object]) -> Contender:
    """A contender whose value is the time that a blocking call takes."""

    def sample() -> Sample:
        begin = time.perf_counter()
        function()
        return Sample(time.perf_counter() - begin)

    return blocking(sample)
