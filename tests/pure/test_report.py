"""`ReportFilter`.

Invariant: however stderr is cut, what the command wrote comes out whole and in order; the report does not.
"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.results import CpuTime, Usage
from lightrunner.rules.report import Report, ReportFilter
from lightrunner.runs.measure import usage_of

from .strategies import chunked

NONCE = b"0123456789abcdef" * 2
FIGURES = (3, 0, 2_000_000_000, 1, 3, 4096, 8192, 5, -1, -1, 0)
TRAILER = NONCE + struct.pack("<11q", *FIGURES)
REPORT = Report(3, None, 2_000_000_000, 1, 3, 4096, 8192, 5, None, None, 0)


def filtered(chunks: list[bytes]) -> tuple[bytes, Report | None]:
    report_filter = ReportFilter(NONCE)
    output = b"".join(map(report_filter.feed, chunks))
    rest, report = report_filter.close()
    return output + rest, report


# Beginnings of the nonce are what a hostile command would guess.
outputs = st.lists(st.binary(max_size=20) | st.integers(0, 31).map(lambda length: NONCE[:length])).map(b"".join)


@given(outputs.filter(lambda data: NONCE not in data), st.data())
def test_the_report_is_told_from_the_output(output: bytes, data: st.DataObject) -> None:
    assert filtered(data.draw(chunked(output + TRAILER))) == (output, REPORT)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_output_that_completes_a_nonce_which_repeats_itself(size: int) -> None:
    data = NONCE[:16] + TRAILER
    assert filtered([data[at : at + size] for at in range(0, len(data), size)]) == (NONCE[:16], REPORT)


@given(outputs.filter(lambda data: NONCE not in data), st.data())
def test_without_a_report_all_is_output(output: bytes, data: st.DataObject) -> None:
    assert filtered(data.draw(chunked(output))) == (output, None)


@given(st.integers(0, len(TRAILER) - 1), st.data())
def test_a_report_that_was_cut_off_is_none(length: int, data: st.DataObject) -> None:
    assert filtered(data.draw(chunked(b"x" + TRAILER[:length]))) == (b"x" + TRAILER[:length], None)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_nothing_follows_a_report(more: bytes, data: st.DataObject) -> None:
    output, report = filtered(data.draw(chunked(TRAILER + more)))
    assert (output, report) == (TRAILER + more, None) or (output, report) == (TRAILER, REPORT)


def test_only_what_may_be_a_report_is_held_back() -> None:
    report_filter = ReportFilter(NONCE)
    assert report_filter.feed(b"a line\n") == b"a line\n"
    assert report_filter.feed(b"a 0") == b"a "
    assert report_filter.feed(b"1 ") == b"01 "
    assert report_filter.feed(NONCE[:20]) == b""
    assert report_filter.close() == (NONCE[:20], None)


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        (None, Usage(source="none")),
        (
            REPORT,
            Usage(
                source="init",
                cpu_time=CpuTime(total=2.0, user=0.5, system=1.5),
                peak_memory=4096,
                peak_memory_total=8192,
                max_pids=4,
            ),
        ),
        (
            Report(None, 9, 1_000_000_000, 0, 0, 0, None, None, 1, 2, None),
            Usage(source="init", cpu_time=CpuTime(total=1.0, user=1.0, system=0.0), bytes_read=1, bytes_written=2),
        ),
        (Report(0, None, None, None, None, 1, None, None, None, None, None), Usage(source="init", peak_memory=1)),
    ],
)
def test_usage(report: Report | None, usage: Usage) -> None:
    assert usage_of(report) == usage
