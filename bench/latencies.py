"""What the harness measured: one row for each run, percentiles, and both as CSV, JSON and Markdown. Pure.

All times are seconds, but for the milliseconds of the Markdown table.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from lightrunner import Timings

from .statistics import percentile

Variant = Literal["cold", "prepared", "warm"]
"""How a run starts: all of it on demand; its network made ahead of time; its whole container made ahead of time."""

VARIANTS: tuple[Variant, ...] = get_args(Variant)
PHASES = Timings.__struct_fields__
_SHOWN = 0.00005
"""Seconds; less would be 0.0 ms in the table."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        variant: how it started.
        burst: in which burst, from 0; the runs of one were dispatched at the same moment.
        total: seconds from the dispatch to the result, with everything of the run removed.
        first_output: seconds from the dispatch to the first line of output; None where there was none.
        timings: seconds per phase, as the result has them.
    """

    variant: Variant
    burst: int
    total: float
    first_output: float | None
    timings: Timings


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds within which so many per cent of the runs were done, linearly between two of them."""

    p50: float
    p90: float
    p95: float
    p99: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One variant in figures.

    Attributes:
        samples: how many runs.
        total: of `Latency.total`.
        first_output: of `Latency.first_output`, over the runs that had any; None where none had.
        phases: of each phase that ever took time.
    """

    samples: int
    total: Percentiles
    first_output: Percentiles | None
    phases: Mapping[str, Percentiles]


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """A whole measurement.

    Attributes:
        where: machine, kernel, engine, runtime and versions, in words.
        what: ``{"plan": `bench.harness.Plan`, "options": `RunnerOptions`}``.
        samples: the runs, in the order of their ends; bursts that only warmed up are not among them.
    """

    where: Mapping[str, str]
    what: Mapping[str, object]
    samples: Sequence[Latency]

    @property
    def summaries(self) -> dict[Variant, Summary]:
        """The figures of each variant that was measured."""
        by_variant: dict[Variant, list[Latency]] = {name: [] for name in VARIANTS}
        for sample in self.samples:
            by_variant[sample.variant].append(sample)
        return {name: _summary(samples) for name, samples in by_variant.items() if samples}

    def to_json(self) -> bytes:
        """The attributes, and the summaries before the samples."""
        content = {"where": self.where, "what": self.what, "summaries": self.summaries, "samples": self.samples}
        return msgspec.json.format(msgspec.json.encode(content, enc_hook=str), indent=1)

    def to_csv(self) -> str:
        """A line for each run: variant, burst, total_s, first_output_s (empty: none), and each phase as <phase>_s."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["variant", "burst", "total_s", "first_output_s", *(f"{phase}_s" for phase in PHASES)])
        for it in self.samples:
            lines.writerow([it.variant, it.burst, it.total, it.first_output, *msgspec.structs.astuple(it.timings)])
        return text.getvalue()

    def to_markdown(self) -> Iterator[str]:
        """The percentiles in milliseconds: a line for each variant's total, first output, and phases that took any."""
        yield f"| ms | | {' | '.join(Percentiles.__struct_fields__)} |"
        yield "|-|-|" + "-|" * len(Percentiles.__struct_fields__)
        for variant, summary in self.summaries.items():
            parts = {f"total of {summary.samples}": summary.total, "first output": summary.first_output}
            for name, figures in (parts | dict(summary.phases)).items():
                if figures is not None and figures.p99 >= _SHOWN:
                    cells = (f"{seconds * 1000:.1f}" for seconds in msgspec.structs.astuple(figures))
                    yield f"| {variant} | {name} | {' | '.join(cells)} |"


def _summary(samples: Sequence[Latency]) -> Summary:
    by_phase = {phase: [getattr(sample.timings, phase) for sample in samples] for phase in PHASES}
    first = [sample.first_output for sample in samples if sample.first_output is not None]
    return Summary(
        samples=len(samples),
        total=_percentiles([sample.total for sample in samples]),
        first_output=_percentiles(first) if first else None,
        phases={phase: _percentiles(seconds) for phase, seconds in by_phase.items() if any(seconds)},
    )


def _percentiles(seconds: Sequence[float]) -> Percentiles:
    return Percentiles(*(percentile(seconds, share) for share in (0.50, 0.90, 0.95, 0.99)))
