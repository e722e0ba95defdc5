"""Write the results of a measurement as JSON and as Markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from .sampling import Case, Curves, Goal, Sample, Series
from .statistics import Estimate, estimate, p95, ratio


@dataclass(frozen=True)
class Summary:
    """One contender's figures; `ratio` is to the case's first contender."""

    median: Estimate
    p95: Estimate
    ratio: Estimate
    phases: Mapping[str, Estimate]
    extra: Mapping[str, Estimate]


@dataclass(frozen=True)
class Verdict:
    """What became of a goal.

    Attributes:
        met: by the figure itself.
        sure: its whole interval says the same; otherwise the noise was too much to tell.
    """

    goal: str
    seen: Estimate
    met: bool
    sure: bool

    def __str__(self) -> str:
        word = "met" if self.met else "missed"
        return word if self.sure else f"{word}, within the noise"


@dataclass(frozen=True)
class CaseReport:
    """One case: every sample, and what they say."""

    name: str
    title: str
    unit: str
    samples: Series
    summaries: dict[str, Summary]
    verdicts: list[Verdict]
    curves: Curves
    curve_axis: str


@dataclass(frozen=True)
class Report:
    """One run of the benchmarks."""

    where: dict[str, str]
    missing: dict[str, str]
    quick: bool
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    cases: list[CaseReport] = field(default_factory=list[CaseReport])

    def add(self, case: Case, series: Series) -> CaseReport:
        """Take in a case that was measured."""
        first = next(iter(series.values()))
        summaries = {name: _summary(samples, first) for name, samples in series.items()}
        verdicts = [
            _verdict(goal, series, case.unit)
            for goal in case.goals
            if goal.contender in series and (goal.base is None or goal.base in series)
        ]
        done = CaseReport(case.name, case.title, case.unit, series, summaries, verdicts, case.curves, case.curve_axis)
        self.cases.append(done)
        return done

    def write(self, folder: Path) -> None:
        """Write ``results.json`` and ``results.md``."""
        (folder / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
        (folder / "results.md").write_text("\n".join(_markdown(self)) + "\n")


def goal_text(goal: Goal, unit: str) -> str:
    """A goal in words."""
    sign = ">=" if goal.at_least else "<="
    what = f"{goal.contender}, {goal.phase}" if goal.phase else goal.contender
    base = f"x {goal.base}{', whole' if goal.whole_base else ''}"
    return f"{what} {sign} {goal.limit:.3g} {unit if goal.base is None else base}"


def case_lines(case: CaseReport) -> Iterator[str]:
    """A case's tables, in Markdown."""
    summaries = case.summaries.values()
    phases = list(dict.fromkeys(phase for summary in summaries for phase in summary.phases))
    shown = [phase for phase in phases if any(phase in it.phases and it.phases[phase].value for it in summaries)]
    extra = list(dict.fromkeys(name for summary in summaries for name in summary.extra))
    columns = [*shown, *extra]
    scale, unit = (1000, "ms") if case.unit == "s" else (1, case.unit)
    first = next(iter(case.summaries))
    yield f"### {case.title} (`{case.name}`)"
    yield ""
    yield f"| {unit} | median | 95 % | p95 | 95 % | x {first} | 95 % |{''.join(f' {name} |' for name in columns)}"
    yield "|-|" + "-|" * (6 + len(columns))
    for name, summary in case.summaries.items():
        cells = [*_cells(summary.median, scale), *_cells(summary.p95, scale), *_cells(summary.ratio)]
        cells += [_cells(summary.phases[phase], scale)[0] if phase in summary.phases else "" for phase in shown]
        cells += [_cells(summary.extra[what])[0] if what in summary.extra else "" for what in extra]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _markdown(report: Report) -> Iterator[str]:
    yield f"# lightrunner's benchmarks, {report.began:%Y-%m-%d %H:%M} UTC{' (quick)' if report.quick else ''}"
    yield ""
    yield from (f"- {name}: {words}" for name, words in report.where.items())
    yield from (f"- missing: {name}: {why}" for name, why in report.missing.items())
    yield ""
    yield "Medians, 95th percentiles and ratios (within the rounds), each with its 95 % bootstrap interval."
    yield ""
    yield "## Goals"
    yield ""
    yield "| case | goal | seen | 95 % | |"
    yield "|-|-|-|-|-|"
    for case in report.cases:
        for verdict in case.verdicts:
            seen, interval = _cells(verdict.seen)
            word = str(verdict) if verdict.met else f"**{verdict}**"
            yield f"| {case.name} | {verdict.goal} | {seen} | {interval} | {word} |"
    yield ""
    yield "## Cases"
    yield ""
    for case in report.cases:
        yield from case_lines(case)


def _summary(samples: list[Sample], first: list[Sample]) -> Summary:
    values = [sample.value for sample in samples]
    return Summary(
        median=estimate(values),
        p95=estimate(values, p95),
        ratio=ratio(values, [sample.value for sample in first]),
        phases={phase: estimate(_of_phase(samples, phase)) for phase in samples[0].phases},
        extra={what: estimate([sample.extra[what] for sample in samples]) for what in samples[0].extra},
    )


def _verdict(goal: Goal, series: Series, unit: str) -> Verdict:
    values = _of_phase(series[goal.contender], goal.phase)
    if goal.base is None:
        seen = estimate(values)
    else:
        seen = ratio(values, _of_phase(series[goal.base], None if goal.whole_base else goal.phase))
    met = goal.met_by(seen.value)
    return Verdict(goal_text(goal, unit), seen, met, sure=met == goal.met_by(seen.low) == goal.met_by(seen.high))


def _of_phase(samples: list[Sample], phase: str | None) -> list[float]:
    return [sample.value if phase is None else sample.phases[phase] for sample in samples]


def _cells(figure: Estimate, scale: float = 1.0) -> tuple[str, str]:
    value, low, high = (_number(number * scale) for number in figure)
    return value, f"{low}-{high}"


def _number(number: float) -> str:
    """Three digits, or four of a large number."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004  # where the third digit ends
