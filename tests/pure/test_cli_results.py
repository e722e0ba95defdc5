"""Results as exit statuses, JSON and tables, and runs and sandboxes by the beginning of their ids."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import (
    CacheCleanup,
    CpuTime,
    ExtractResult,
    LightRunnerError,
    LightRunnerErrorCode,
    RunResult,
    RunState,
    Usage,
)
from lightrunner.cli import exits, tables
from lightrunner.cli.exits import UsageError, status_of_error, status_of_result
from lightrunner.cli.lookup import find_run, find_sandbox
from lightrunner.cli.messages import Ended
from lightrunner.results import ExtractStatus


def result(exit_code: int, *statuses: ExtractStatus, **fields: bytes) -> RunResult:
    extracted = tuple(ExtractResult(from_="a", to="b", status=status) for status in statuses)
    return RunResult(
        success=exit_code == 0,
        exit_code=exit_code,
        duration=1.0,
        extracted=extracted or None,
        stdout=fields.get("stdout"),
        stderr=fields.get("stderr"),
    )


def states(*ids: str) -> list[RunState]:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        RunState(id=it, container=it, volume=it, image="i", workdir="/app", started_at=begin, status="running")
        for it in ids
    ]


def test_the_containers_exit_code_is_the_status() -> None:
    assert [status_of_result(result(code)) for code in (0, 1, 121, 137, 255)] == [0, 1, 121, 137, 255]


def test_an_extract_that_failed_is_told_where_the_run_itself_did_well() -> None:
    assert status_of_result(result(0, "ok", "ok")) == 0
    assert status_of_result(result(0, "ok", "missing")) == exits.INCOMPLETE
    assert status_of_result(result(0, "error")) == exits.INCOMPLETE
    assert status_of_result(result(3, "error")) == 3


def test_every_error_has_a_status() -> None:
    found = {code: status_of_error(LightRunnerError(code, "")) for code in LightRunnerErrorCode}
    assert found.pop(LightRunnerErrorCode.DOCKER_UNREACHABLE) == exits.UNREACHABLE
    assert {str(code) for code, status in found.items() if status == exits.USAGE} == {
        "INVALID_REQUEST",
        "INVALID_RUN_STEP",
        "RUN_NOT_FOUND",
    }
    assert set(found.values()) == {exits.USAGE, exits.FAILED}


def test_usage_on_a_line_is_what_is_known() -> None:
    known = Usage(
        source="init", cpu_time=CpuTime(total=1.25, user=1.0, system=0.25), peak_memory=9_000_000, bytes_read=0
    )
    assert tables.usage_line(known) == "used: CPU 1.250 s, peak memory of a process 9.0 MB, read 0 B"
    assert tables.usage_line(Usage(source="none")).startswith("used: not known")


def test_a_result_as_json_has_its_output_as_text() -> None:
    shown = json.loads(tables.to_json(tables.result_object(result(0, "ok", stdout="ü\n".encode(), stderr=b""), id="x")))
    assert (shown["id"], shown["exit_code"], shown["success"], shown["duration"]) == ("x", 0, True, 1.0)
    assert (shown["stdout"], shown["stderr"]) == ("ü\n", "")
    assert "stdout_base64" not in shown
    assert shown["extracted"][0]["status"] == "ok"
    assert set(shown["timings"]) >= {"create", "start", "run"}


def test_output_that_is_not_text_is_there_as_base64_as_well() -> None:
    shown = tables.result_object(result(0, stdout=b"\xff\n"))
    assert (shown["stdout"], shown["stdout_base64"]) == ("\ufffd\n", "/wo=")
    assert shown["stderr"] is None


def test_json_takes_paths_of_any_bytes() -> None:
    shown = tables.to_json(ExtractResult(from_="a", to=Path("/tmp/\udcff"), status="ok"))  # noqa: S108 - only a name
    assert json.loads(shown)["to"] == "/tmp/\udcff"  # noqa: S108
    assert shown.isascii()
    assert json.loads(tables.to_json(CacheCleanup(("a",), 1))) == {"removed": ["a"], "freed_bytes": 1}
    assert json.loads(tables.to_json({"type": int})) == {"type": "<class 'int'>"}


def test_a_table_has_columns() -> None:
    assert tables.table(("A", "LONG"), [("1", "2"), ("three", "")]) == "A      LONG\n1      2\nthree"


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_a_cell_cannot_control_the_terminal(rows: list[tuple[str, str]]) -> None:
    shown = tables.table(("A", "B"), rows)
    assert len(shown.split("\n")) == len(rows) + 1
    assert all(char.isprintable() or char == "\n" for char in shown)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1_500_000, "1.5 MB"), (5e18, "5000000.0 TB")]
)
def test_a_size(count: float, shown: str) -> None:
    assert tables.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0 s"), (5.4, "5 s"), (300, "5 min"), (7200, "2 h"), (864_000, "10 d")]
)
def test_an_age(seconds: float, shown: str) -> None:
    assert tables.age(seconds) == shown


def test_a_text_that_is_too_long_is_cut() -> None:
    assert (tables.short("abcd", 4), tables.short("abcde", 4)) == ("abcd", "abc…")


def test_a_run_is_found_by_its_id_or_the_beginning_of_it() -> None:
    found = states("3f2a", "3f2abc", "90cd")
    assert find_run("90", found).id == "90cd"
    assert find_run("3f2ab", found).id == "3f2abc"
    assert find_run("3f2a", found).id == "3f2a"


@pytest.mark.parametrize("text", ["", "4", "3f2abcd"])
def test_no_such_run(text: str) -> None:
    with pytest.raises(UsageError, match="no detached run"):
        find_run(text, states("3f2a"))


def test_the_beginning_of_several_runs() -> None:
    with pytest.raises(UsageError, match="2 runs: aa, ab"):
        find_run("a", states("aa", "ab", "b"))
    with pytest.raises(UsageError, match="6 runs: a0, a1, a2, a3 and 2 more"):
        find_run("a", states(*(f"a{at}" for at in range(6))))


def test_a_sandbox_by_the_beginning_of_its_id() -> None:
    assert find_sandbox("ab", ["abc", "b"]) == "abc"
    assert find_sandbox("a", ["ab", "a"]) == "a"
    for text, reason in (("", "no sandbox ''"), ("c", "`lightrunner sandboxes`"), ("a", "2 sandboxes: ab, ac")):
        with pytest.raises(UsageError, match=reason):
            find_sandbox(text, ["ab", "ac"])


def test_a_message_as_an_object_has_no_type() -> None:
    assert tables.untagged(Ended(1, "why")) == {"exit_code": 1, "told": "why"}
