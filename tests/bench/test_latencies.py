"""The harness's results: figures, CSV, JSON and Markdown."""

import csv
import io
import json

import pytest

from bench.latencies import Latencies, Latency, Percentiles, Variant
from lightrunner import Timings


def latency(variant: Variant, total: float, first_output: float | None = None) -> Latency:
    return Latency(
        variant=variant,
        burst=0,
        total=total,
        first_output=first_output,
        timings=Timings(start=total / 2, run=total / 4),
    )


@pytest.fixture
def latencies() -> Latencies:
    """101 warm runs of 0 to 100 ms, a tenth of which say something after 1 ms; and a cold one of a second."""
    warm = [latency("warm", number / 1000, 0.001 if number % 10 == 0 else None) for number in range(101)]
    return Latencies(where={"machine": "small"}, what={"samples": 101}, samples=[*warm, latency("cold", 1.0)])


def test_percentiles_of_the_whole_and_of_each_phase(latencies: Latencies) -> None:
    warm = latencies.summaries["warm"]
    assert warm.samples == 101
    assert [warm.total.p50, warm.total.p90, warm.total.p95, warm.total.p99] == pytest.approx([0.05, 0.09, 0.095, 0.099])
    assert warm.phases["start"].p99 == pytest.approx(0.0495)
    assert set(warm.phases) == {"start", "run"}, "phases that never took time are left out"


def test_first_outputs_count_where_there_are_any(latencies: Latencies) -> None:
    summaries = latencies.summaries
    assert summaries["warm"].first_output == Percentiles(0.001, 0.001, 0.001, 0.001)
    assert summaries["cold"].first_output is None


def test_variants_that_were_not_measured_are_not_there(latencies: Latencies) -> None:
    assert list(latencies.summaries) == ["cold", "warm"]


def test_csv_has_a_line_for_each_run(latencies: Latencies) -> None:
    lines = list(csv.DictReader(io.StringIO(latencies.to_csv())))
    assert len(lines) == 102
    assert (lines[10]["variant"], float(lines[10]["total_s"]), lines[10]["first_output_s"]) == ("warm", 0.01, "0.001")
    assert (lines[11]["first_output_s"], float(lines[11]["start_s"])) == ("", 0.0055)


def test_json_has_everything(latencies: Latencies) -> None:
    content = json.loads(latencies.to_json())
    assert content["where"] == {"machine": "small"}
    assert content["what"] == {"samples": 101}
    assert content["summaries"]["cold"]["total"] == {"p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": 1.0}
    assert len(content["samples"]) == 102
    assert content["samples"][-1]["timings"]["start"] == 0.5


def test_the_table_is_in_milliseconds(latencies: Latencies) -> None:
    table = list(latencies.to_markdown())
    assert table[0] == "| ms | | p50 | p90 | p95 | p99 |"
    assert "| cold | total of 1 | 1000.0 | 1000.0 | 1000.0 | 1000.0 |" in table
    assert "| warm | first output | 1.0 | 1.0 | 1.0 | 1.0 |" in table
    assert not any("cold | first output" in line for line in table)
