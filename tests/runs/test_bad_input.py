"""Bad input is refused with its field and value, before any request to the daemon."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode, RunRequest
from tests.runs.host_folders import names
from tests.runs.shell_runs import EventLog, Run, shell
from tools.raw_engine import RawEngine

CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)

REQUESTS: list[dict[str, Any]] = [
    {"image": ""},
    {"image": "line\nbreak"},
    {"image": "busybox\n"},
    {"image": " busybox"},
    {"image": "busy box"},
    {"image": "--privileged"},
    {"image": "--x"},
    {"image": "BusyBox"},
    {"image": "host/Upper:1"},
    {"image": "busybox:"},
    {"image": "busybox:tag:tag"},
    {"image": "busybox@sha256:short"},
    {"image": "../escape"},
    {"image": "nul\0"},
    {"image": None},
    {"image": "x" * 5000},
    {"entrypoint": ""},
    {"entrypoint": "echo\0"},
    {"entrypoint": ["echo"]},
    {"entrypoint": "\ud800"},
    {"workdir": "relative"},
    {"workdir": ""},
    {"workdir": "/"},
    {"workdir": "//."},
    {"workdir": "/app/.."},
    {"workdir": "/app/../etc"},
    {"workdir": "/nul\0"},
    {"timeout": 0},
    {"timeout": -1},
    {"timeout": -math.inf},
    {"timeout": math.nan},
    {"timeout": "30"},
    {"timeout": True},
    {"network": ""},
    {"network": "host"},
    {"network": "container:other"},
    {"network": "with space"},
    {"network": "nul\0"},
    {"env": {"NAME": 1}},
    {"env": {"NAME": None}},
    {"env": {"NAME": b"bytes"}},
    {"env": {"NAME": "nul\0"}},
    {"env": {1: "value"}},
    {"env": ["NAME=value"]},
    {"input": {"a": object()}},
    {"input": {1, 2}},
    {"input": math.nan},
    {"input": [math.inf]},
    {"input": "\ud800"},
    {"input": CIRCLE},
    {"dir": ""},
    {"dir": "nul\0"},
    {"dir": 5},
    {"dir": "/no/such/folder"},
    {"dir": __file__},
    {"ignore": "text"},
    {"ignore": [5]},
    {"extract": "text"},
    {"extract": ["/app/result.json"]},
    {"capture_output": 1},
    {"cpu_timeout": 0},
    {"cpu_timeout": "1"},
    {"output_limit": 0},
    {"output_limit": 1.5},
    {"tty": 1},
    {"tty_size": (24,)},
    {"tty_size": (0, 80)},
    {"tty_size": "24x80"},
    {"tty": True, "input": b"x" * 5000},
]

OPTIONS: list[dict[str, Any]] = [
    {"memory": "lots"},
    {"memory": ""},
    {"memory": "-1m"},
    {"memory": "0"},
    {"memory": 0},
    {"memory": -1},
    {"memory": "5m"},
    {"memory": 6 * 1024**2 - 1},
    {"memory": 2**63},
    {"memory": 1e9},
    {"memory": None},
    {"memory": "1e9"},
    {"cpus": "many"},
    {"cpus": 0},
    {"cpus": -1},
    {"cpus": 0.001},
    {"cpus": math.nan},
    {"cpus": math.inf},
    {"cpus": True},
    {"cpus": "1,5"},
    {"gpus": "all; rm -rf /"},
    {"gpus": "$(id)"},
    {"gpus": "device=0 1"},
    {"gpus": "device=`id`"},
    {"gpus": ""},
    {"gpus": 0},
    {"gpus": -2},
    {"runtime": ""},
    {"runtime": "with space"},
    {"runtime": "nul\0"},
    {"no_new_privileges": 1},
    {"max_extract_bytes": 0},
    {"max_extract_bytes": -1},
    {"max_extract_bytes": 1.5},
    {"max_concurrent": 0},
    {"max_concurrent": -1},
    {"max_concurrent": "2"},
    {"max_concurrent": True},
]

HOSTS = ["nonsense", "http://localhost:2375", "", "unix://", "tcp://", "fd://3", "npipe:////./pipe/docker_engine"]


def short(fields: Mapping[str, object]) -> str:
    """An id that pytest can print."""
    try:
        return ascii(fields)[:60]
    except RecursionError:
        return "recursive"


def names_field_and_value(error: LightRunnerError, field: str, value: object) -> bool:
    """Whether the message starts with the field, or an item of it, and shows its value; of an input its type alone."""
    if field == "input":
        return error.message.startswith(f"input=<{type(value).__name__}>: ")
    values = [value]
    if isinstance(value, dict):
        values += [*value.keys(), *value.values()]
    elif isinstance(value, list):
        values += value
    return error.message.startswith(field) and any(repr(each)[:100] in error.message for each in values)


@pytest.mark.parametrize("fields", REQUESTS, ids=short)
async def test_a_bad_request_creates_nothing(run: Run, raw: RawEngine, busybox: str, fields: dict[str, Any]) -> None:
    log = EventLog(raw)
    whole: dict[str, Any] = {"image": busybox, "entrypoint": "true"}
    with pytest.raises(LightRunnerError) as raised:
        await run(RunRequest(**(whole | fields)))
    *_, (field, value) = fields.items()  # The last one is bad, together with those before it.
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert names_field_and_value(raised.value, field, value), raised.value.message
    assert len(raised.value.message) < 1000
    assert log.actions() == []


@pytest.mark.parametrize("options", OPTIONS, ids=short)
def test_a_bad_option_makes_no_runner(options: dict[str, Any]) -> None:
    with pytest.raises(LightRunnerError) as raised:
        DockerRunner(**options)
    ((field, value),) = options.items()
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert names_field_and_value(raised.value, field, value), raised.value.message


@pytest.mark.parametrize("host", HOSTS)
def test_a_bad_host_makes_no_runner(host: str) -> None:
    with pytest.raises(LightRunnerError) as raised:
        DockerRunner(host=host)
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert (host or "host") in raised.value.message


async def test_a_folder_that_is_only_missing_when_the_run_begins(run: Run, busybox: str, tmp_path: Path) -> None:
    with pytest.raises(LightRunnerError, match="No such file or directory") as raised:
        await run(shell(busybox, "true", dir=tmp_path / "gone"))
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert str(tmp_path / "gone") in raised.value.message


async def test_a_bad_extract_is_an_entry_of_the_result(run: Run, busybox: str, tmp_path: Path) -> None:
    to = str(tmp_path / "out")
    bad = [
        ExtractSpec("../etc/passwd", to),
        ExtractSpec("/app/../etc/passwd", to),
        ExtractSpec("", to),
        ExtractSpec("/", to),
        ExtractSpec("nul\0", to),
        ExtractSpec("/etc/passwd", ""),
        ExtractSpec("/etc/passwd", f"{to}/../other"),
        ExtractSpec("/etc/passwd", f"{to}\0"),
    ]
    result = await run(shell(busybox, "true", extract=[*bad, ExtractSpec("/etc/passwd", to)]))
    assert result.success
    assert result.extracted is not None
    *rejected, landed = result.extracted
    assert [(entry.from_, entry.to, entry.status) for entry in rejected] == [
        (spec.from_, spec.to, "error") for spec in bad
    ]
    assert all(entry.error for entry in rejected)
    assert landed.status == "ok"
    assert (names(tmp_path), names(tmp_path / "out")) == ({"out"}, {"passwd"})
