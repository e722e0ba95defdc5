"""What lightrunner tells of its runs: records, spans and counters; and what it never tells."""

import json
import logging
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from lightrunner.testing import FakeEngine
from tests.runs import telemetry_program
from tests.runs.telemetry_program import SECRET

Collected = dict[str, Any]


@pytest.fixture(scope="module")
def collected(engine_host: str, busybox: str) -> Collected:
    """What a program has collected of its runs; it runs in a process of its own, whose providers are global."""
    command = [sys.executable, telemetry_program.__file__, engine_host, busybox]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: Collected = json.loads(done.stdout)
    return told


def spans(collected: Collected, name: str) -> list[dict[str, Any]]:
    return [span for span in collected["spans"] if span["name"] == name]


def counter(collected: Collected, name: str) -> dict[tuple[str, ...], float]:
    scopes = [scope for resource in collected["metrics"]["resource_metrics"] for scope in resource["scope_metrics"]]
    points = [
        point
        for scope in scopes
        for metric in scope["metrics"]
        if metric["name"] == name
        for point in metric["data"]["data_points"]
    ]
    return {tuple(str(value) for _, value in sorted(point["attributes"].items())): point["value"] for point in points}


def test_a_span_per_run_and_phase(collected: Collected) -> None:
    runs = spans(collected, "lightrunner.run")
    told = [(run["attributes"]["lightrunner.kind"], run["attributes"]["lightrunner.outcome"]) for run in runs]
    assert told == [("cold", "success"), ("cold", "failed"), ("cold", "cancelled"), ("warm", "success")]
    assert [run["status"]["status_code"] for run in runs] == ["UNSET", "ERROR", "UNSET", "UNSET"]
    assert runs[0]["attributes"]["lightrunner.exit_code"] == 0
    assert runs[1]["attributes"]["lightrunner.code"] == "CONTAINER_START_FAILED"
    (program,) = spans(collected, "program")
    assert {run["parent_id"] for run in runs} == {program["context"]["span_id"]}
    phases = Counter(span["name"] for span in collected["spans"] if span["parent_id"] == runs[0]["context"]["span_id"])
    assert phases.keys() >= {f"lightrunner.{name}" for name in ("create", "attach", "start", "run_phase", "cleanup")}


def test_the_trace_goes_on_to_the_daemon(collected: Collected) -> None:
    (program,) = spans(collected, "program")
    ((name, value),) = collected["headers"]
    assert name == "traceparent"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", value)
    assert program["context"]["span_id"].removeprefix("0x") in value


def test_counters(collected: Collected) -> None:
    runs = counter(collected, "lightrunner.runs")
    assert runs == {("cold", "success"): 1, ("cold", "failed"): 1, ("cold", "cancelled"): 1, ("warm", "success"): 1}
    assert counter(collected, "lightrunner.failures") == {("CONTAINER_START_FAILED", "cold"): 1}
    assert counter(collected, "lightrunner.pool.takes") == {("True", "warm"): 1}
    assert counter(collected, "lightrunner.phase.seconds")[("start",)] > 0.01


def test_records_have_ids(collected: Collected) -> None:
    records = [record for record in collected["records"] if record["name"] == "lightrunner.run"]
    texts = [record["text"] for record in records]
    assert any(text.startswith("cold run ended with exit code 0") for text in texts)
    assert any(text.startswith("cold run failed: CONTAINER_START_FAILED in container_start") for text in texts)
    assert "cold run was cancelled" in texts
    ids = {span["attributes"]["lightrunner.run_id"] for span in spans(collected, "lightrunner.run")}
    ended = [record for record in records if "run ended" in record["text"]]
    assert {record["run_id"] for record in ended} <= ids
    assert all(re.fullmatch("[0-9a-f]{64}", record["container_id"]) for record in ended)


def test_no_secret_is_told(collected: Collected) -> None:
    assert SECRET not in json.dumps(collected)


def test_a_record_outside_of_a_run_has_ids_too(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("lightrunner").warning("something")
    assert [(vars(record)["run_id"], vars(record)["container_id"]) for record in caplog.records] == [(None, None)]


def test_no_handler_is_installed() -> None:
    assert logging.getLogger("lightrunner").handlers == []
    assert logging.getLogger("lightrunner.run").handlers == []


def test_opentelemetry_is_never_imported_first() -> None:
    program = """
import sys, trio
from lightrunner import DockerRunner, LightRunnerError, RunRequest

async def main():
    async with DockerRunner(host="unix:///nowhere.sock") as runner:
        await runner.run(RunRequest(image="image"))

try:
    trio.run(main)
except LightRunnerError:
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
    print("unreachable")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "unreachable\n"


async def test_every_request_carries_the_trace() -> None:
    """Over the fake engine, which shows the headers, and with a span context of the API alone."""
    context = SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1))
    async with FakeEngine() as engine, DockerRunner(connect=engine.connect) as runner:
        assert await runner.is_available()
        with use_span(NonRecordingSpan(context)):
            assert await runner.cleanup_orphan_volumes() == 0
    without, *others = [request.headers for request in engine.requests_seen]
    assert "traceparent" not in without
    assert others
    assert {headers["traceparent"] for headers in others} == {f"00-{0xAB:032x}-{0xCD:016x}-01"}


async def test_a_failure_outside_of_the_engine_names_no_operation(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeEngine() as engine, DockerRunner(connect=engine.connect) as runner:
        with pytest.raises(LightRunnerError, match="dir="):
            await runner.run(RunRequest(image="image", dir="/nowhere"))
    assert [record.getMessage() for record in caplog.records] == ["cold run failed: INVALID_REQUEST"]
