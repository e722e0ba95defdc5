"""The pure parts of the server: its output's backlog, its messages, its description, its policy."""

import base64
import itertools
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import ExtractResult, LightRunnerError, LightRunnerErrorCode, OutputChunk, RunRequest, RunResult
from lightrunner.rules.violation import RuleViolation
from lightrunner.serve import events, files
from lightrunner.serve.app import App
from lightrunner.serve.backlog import Backlog, Entry
from lightrunner.serve.messages import (
    ResultView,
    RunBody,
    aborted_view,
    error_view,
    internal_error_view,
    result_view,
    to_request,
)
from lightrunner.serve.openapi import document
from lightrunner.serve.policy import ServePolicy, check_policy
from lightrunner.serve.problems import not_found, problem_of

FILES = Path("/secret/run/files")
POLICY = ServePolicy()


def chunks(*data: bytes) -> list[OutputChunk]:
    return [OutputChunk("stdout", piece, at / 10) for at, piece in enumerate(data)]


def all_entries(backlog: Backlog, last: int = 0) -> list[Entry]:
    entries: list[Entry] = []
    while batch := backlog.after(last).entries:
        entries += batch
        last = batch[-1].id
    return entries


@given(st.text(), st.lists(st.integers(0, 40)))
def test_text_is_whole_wherever_the_chunks_are_split(text: str, cuts: list[int]) -> None:
    data = text.encode(errors="replace")
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    backlog = Backlog(2**20)
    for chunk in chunks(*(data[start:end] for start, end in itertools.pairwise(edges))):
        backlog.add(chunk)
    backlog.end()
    backlog.end()
    entries = all_entries(backlog)
    assert "".join(entry.text for entry in entries) == data.decode()
    assert b"".join(entry.data for entry in entries) == data


def test_an_incomplete_character_is_told_at_the_end_and_streams_do_not_mix() -> None:
    backlog = Backlog(2**20)
    backlog.add(OutputChunk("stdout", b"\xc3", 0.0))
    backlog.add(OutputChunk("stderr", b"\xa4\xc3", 0.5))
    backlog.end()
    texts = [(entry.stream, entry.text, entry.data) for entry in all_entries(backlog)]
    bad = "\N{REPLACEMENT CHARACTER}"
    assert texts == [("stdout", "", b"\xc3"), ("stderr", bad, b"\xa4\xc3"), ("stdout", bad, b""), ("stderr", bad, b"")]


@given(st.lists(st.integers(1, 3000)), st.integers(1, 20_000), st.integers(0, 60))
def test_a_backlog_keeps_the_newest_within_its_limit_and_counts_what_is_lost(
    sizes: list[int], limit: int, last: int
) -> None:
    backlog = Backlog(limit)
    for chunk in chunks(*(bytes(size) for size in sizes)):
        backlog.add(chunk)
    last = min(last, len(sizes))
    entries, lost = backlog.after(last)
    assert [entry.id for entry in entries] == list(range(last + lost + 1, len(sizes) + 1))[:256]
    kept = all_entries(backlog)
    assert sum(len(entry.data) + 256 for entry in kept) <= limit or len(kept) <= 1


@pytest.mark.usefixtures("autojump_clock")
async def test_readers_wait_for_news_and_for_the_end() -> None:
    backlog = Backlog(1000)
    seen: list[int] = []

    async def read() -> None:
        while not backlog.ended:
            await backlog.wait_after(backlog.newest)
            seen.append(backlog.newest)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(1)
        backlog.add(OutputChunk("stdout", b"a", 0.0))
        await trio.sleep(1)
        backlog.end()
    assert seen == [1, 1]


def test_events() -> None:
    entry = Entry(7, "stderr", b"\n\xc3", b"", False, 1.5)
    assert events.output_event(entry, "text") == b'id: 7\nevent: stderr\ndata: {"time":1.5,"text":"\\n"}\n\n'
    encoded = base64.b64encode(entry.data)
    assert (
        events.output_event(entry, "base64") == b'id: 7\nevent: stderr\ndata: {"time":1.5,"base64":"%s"}\n\n' % encoded
    )
    assert events.output_event(Entry(8, "stdout", b"", b"\xc3", True, 1.5), "base64") == b""
    assert events.output_event(Entry(8, "stdout", b"\xc3", b"", False, 1.5), "text") == b""
    assert events.lost_event(3) == b'event: lost\ndata: {"chunks":3}\n\n'


def request(**fields: Any) -> RunRequest:
    body = msgspec.convert({"image": "a", **fields}, RunBody)
    return to_request(body, POLICY, None, FILES)


def test_a_body_has_every_field_of_a_request_but_host_paths() -> None:
    own = {"files", "seed", "input_base64", "cancel_on_disconnect"}
    assert set(RunBody.__struct_fields__) - own == set(RunRequest.__struct_fields__) - {"dir"}
    defaults = request()
    assert defaults == msgspec.structs.replace(RunRequest(image="a"), extract=[])


def test_a_body_becomes_a_request() -> None:
    made = request(timeout=5, cpu_timeout=2, output_limit=9, extract=["x"], input=[1], tty=True, user="1:2")
    assert (made.timeout, made.cpu_timeout, made.output_limit, made.input, made.tty, made.user) == (
        5,
        2,
        9,
        [1],
        True,
        "1:2",
    )
    assert [(spec.from_, spec.to) for spec in made.extract] == [("x", FILES)]
    assert request(input_base64="AA==").input == b"\0"


def test_setup_steps_and_networks_that_are_allowed() -> None:
    policy = ServePolicy(allow_setup=True, networks=["offered"], max_timeout=3.0, max_output=5)
    body = msgspec.convert({"image": "a", "run": ["true"], "network": "offered", "output_limit": 4}, RunBody)
    made = to_request(body, policy, Path("/seed"), FILES)
    assert (made.run, made.network, made.timeout, made.output_limit) == (["true"], "offered", 3.0, 4)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input": 1, "input_base64": "AA=="}, "input_base64="),
        ({"env": {"a-b": "c"}}, "env=['a-b']"),
        ({"image": "other"}, "image='other'"),
        ({"network": "host"}, "network='host'"),
        ({"run": ["true"]}, "builds no setup steps"),
        ({"extract": ["x"] * 17}, "extract=17: more than 16 entries"),
        ({"timeout": None}, "timeout=None: more than this server's maximum of 1200 s"),
        ({"timeout": 1201}, "timeout=1201.0: more than"),
        ({"cpu_timeout": 11}, "cpu_timeout=11.0: more than this server's maximum of 10"),
    ],
)
def test_more_than_the_policy_allows_is_refused(fields: dict[str, Any], reason: str) -> None:
    body = msgspec.convert({"image": "a", **fields}, RunBody)
    with pytest.raises(LightRunnerError) as caught:
        to_request(body, ServePolicy(images=["a*"], max_cpu_timeout=10.0), None, FILES)
    assert caught.value.code == LightRunnerErrorCode.INVALID_REQUEST
    assert reason in caught.value.message


def test_aborted_runs_and_results_without_output() -> None:
    assert aborted_view().code == "RUN_ABORTED"
    view = result_view(RunResult(success=False, exit_code=1, duration=1.0), FILES)
    assert (view.stdout, view.stdout_base64, view.extracted) == (None, msgspec.UNSET, None)


def test_results_tell_no_path_of_the_host() -> None:
    result = RunResult(
        success=True,
        exit_code=0,
        duration=1.0,
        stdout=b"\xff",
        stderr=b"e",
        extracted=(
            ExtractResult(from_="x", to=FILES / "a", status="error", error=f"cannot write {FILES}/a/x in {FILES}"),
        ),
    )
    view = json.loads(msgspec.json.encode(result_view(result, FILES)))
    assert view["extracted"] == [
        {"from": "x", "to": "a", "status": "error", "bytes": None, "skipped": 0, "error": "cannot write a/x in ."}
    ]
    assert (view["stdout"], view["stdout_base64"], view["stderr"]) == ("\N{REPLACEMENT CHARACTER}", "/w==", "e")
    assert "stderr_base64" not in view
    failure = LightRunnerError(LightRunnerErrorCode.SEED_FAILED, f"{FILES.parent}/seed/a changed")
    assert error_view(failure, FILES.parent).message == "seed/a changed"
    assert internal_error_view().code == "INTERNAL_SERVER_ERROR"


def test_a_result_for_clients_has_every_field_of_a_result() -> None:
    own = {"explanation", "stdout_base64", "stderr_base64"}
    # The order of the chunks is what the output's events are for.
    chunked = {"output", "output_truncated"}
    assert set(ResultView.__struct_fields__) - own == set(RunResult.__struct_fields__) - chunked


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (LightRunnerErrorCode.INVALID_REQUEST, 400),
        (LightRunnerErrorCode.DOCKER_UNREACHABLE, 503),
        (LightRunnerErrorCode.RUN_FAILED, 502),
    ],
)
def test_errors_have_fitting_statuses(code: LightRunnerErrorCode, status: int) -> None:
    error = LightRunnerError(code, "why", docker_op="x", container_id="y")
    problem = problem_of(error)
    assert (problem.status, problem.error) == (status, error.to_dict())
    assert not_found("x").status == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"max_concurrent": 0},
        {"max_queued": -1},
        {"max_body_bytes": 0},
        {"max_timeout": math.inf},
        {"max_timeout": 0},
        {"max_cpu_timeout": -1.0},
        {"max_output": 0},
        {"keep_time": math.nan},
    ],
)
def test_a_policy_that_is_none_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RuleViolation, match=next(iter(fields))):
        check_policy(ServePolicy(**fields))


def test_policies() -> None:
    check_policy(POLICY)
    check_policy(ServePolicy(max_queued=0, max_cpu_timeout=1.0, max_output=1))


@given(st.text(max_size=50) | st.sampled_from(["a/../b", "..", "/", "a//b", ".", "\ud800", "a/" * 260]))
def test_a_relative_path_stays_below_its_folder(path: str) -> None:
    try:
        parts = files.relative_parts("path", path)
    except RuleViolation as violation:
        assert str(violation).startswith("path=")  # noqa: PT017 - most are fine
    else:
        joined = Path("/base").joinpath(*parts)
        assert joined.is_relative_to("/base")
        assert ".." not in joined.parts


def test_the_description_has_every_route_and_resolves() -> None:
    app = App(None, None)  # type: ignore[arg-type]
    operations = app.operations
    described = document(operations, "1")
    text = json.dumps(described)
    names = set(described["components"]["schemas"])
    assert {"RunBody", "RunView", "ResultView", "ErrorBody", "SeedView", "FileList", "Health"} <= names
    for reference in text.split('"$ref": "')[1:]:
        assert reference.partition('"')[0].removeprefix("#/components/schemas/") in names
    ids = [method["operationId"] for path in described["paths"].values() for method in path.values()]
    assert len(ids) == len(set(ids)) == len(operations)
    body = described["components"]["schemas"]["RunBody"]
    assert body["required"] == ["image"]
    assert body["additionalProperties"] is False


def test_paths_are_matched_part_by_part() -> None:
    app = App(None, None)  # type: ignore[arg-type]
    by_path = {operation.path: operation for operation in app.operations}
    whole = by_path["/runs/{run}/files/{path}"]
    assert whole.match(("runs", "a", "files", "b", "c")) == {"run": "a", "path": "b/c"}
    assert whole.match(("runs", "a", "files")) is None
    assert by_path["/runs/{run}"].match(("runs", "a/b")) == {"run": "a/b"}
    assert by_path["/runs/{run}"].match(("seeds", "a")) is None
