"""State files: written atomically, found by id, and ignored if they are invalid."""

import json
import logging
import math
import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from lightrunner import (
    DockerRunner,
    ExtractResult,
    LightRunnerError,
    LightRunnerErrorCode,
    ReapResult,
    RunRequest,
    RunState,
    list_states,
    read_state,
)
from lightrunner.detached.state import (
    StoredExtract,
    StoredExtracted,
    from_stored,
    is_kept_elsewhere,
    to_stored,
    write_state,
)
from lightrunner.host.state_dir import state_dir as current_state_dir
from lightrunner.host.state_dir import sweep_temporary_files, write_atomically
from tests.detached.state_folder import MOMENT, leftovers, mode_of, running, state_ids, stored
from tests.fake_daemon import fake_daemon

DEAD_PID = 999_999_999


FINISHED = running(
    entrypoint="true",
    status="exited",
    finished_at=MOMENT + timedelta(seconds=1.5),
    exit_code=0,
    duration_ms=1500.25,
    cancelled=True,
    timeout=1.5,
    deadline=MOMENT,
    boot_deadline=12.5,
    boot="boot",
    extract=(StoredExtract("/app/a", "/to"),),
    extracted=(StoredExtracted("/app/a", "/to", "error", bytes=1, skipped=2, error="why"),),
    max_extract_bytes=10,
    timed_out=True,
    oom_killed=True,
    starting=True,
    owner="host/boot/1/2",
    error="why",
)


# --- writing and reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [running(), FINISHED], ids=["running", "everything"])
def test_what_is_written_is_read(state: RunState) -> None:
    write_state(state)
    assert read_state(state.id) == state
    assert list_states() == [state]


def test_the_names_are_camel_case(state_dir: Path) -> None:
    write_state(FINISHED)
    fields = stored(state_dir, FINISHED.id)
    assert fields.keys() == {
        "id", "container", "volume", "image", "workdir", "entrypoint", "startedAt", "finishedAt", "status", "exitCode",
        "durationMs", "cancelled",  # light-runner's
        "timeout", "deadline", "bootDeadline", "boot", "extract", "extracted", "maxExtractBytes", "timedOut",
        "oomKilled", "starting", "owner", "error",
    }  # fmt: skip
    assert fields["startedAt"] == "2024-05-06T07:08:09.123000Z"
    assert fields["extract"] == [{"from": "/app/a", "to": "/to"}]


def test_a_file_of_light_runner(state_dir: Path) -> None:
    state_dir.mkdir()
    fields = {
        "id": "f3b0",
        "container": "light-runner-f3b0",
        "volume": "light-runner-f3b0",
        "image": "alpine",
        "workdir": "/app",
        "startedAt": "2024-05-06T07:08:09.123Z",
        "status": "exited",
        "exitCode": 7,
        "durationMs": 1500,
        "finishedAt": "2024-05-06T07:08:10.623Z",
        "somethingOfLater": {"deep": [1]},
    }
    (state_dir / "f3b0.json").write_text(json.dumps(fields))
    state = read_state("f3b0")
    assert state is not None
    assert (state.started_at, state.exit_code, state.duration_ms, state.finished) == (MOMENT, 7, 1500.0, True)
    assert state.seconds_left() == math.inf


def test_the_oldest_comes_first() -> None:
    for minutes, run_id in [(2, "b"), (3, "a"), (1, "d"), (1, "c")]:
        write_state(running(run_id, started_at=MOMENT + timedelta(minutes=minutes)))
    assert [state.id for state in list_states()] == ["c", "d", "b", "a"]


def test_without_a_folder_there_is_nothing(state_dir: Path) -> None:
    assert list_states() == []
    assert read_state("run-1") is None
    sweep_temporary_files()
    assert not state_dir.exists()


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIGHT_RUNNER_STATE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert current_state_dir() == tmp_path / ".light-runner" / "state"
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", "")
    assert current_state_dir() == tmp_path / ".light-runner" / "state"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without an entry, as containers have them, and without HOME."""

    def fail(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LIGHT_RUNNER_STATE_DIR")
    monkeypatch.setattr(Path, "expanduser", fail)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_another_folder_may_have_states(tmp_path: Path) -> None:
    (tmp_path / "run-1.json").touch()
    assert is_kept_elsewhere(str(tmp_path), "run-1")
    assert not is_kept_elsewhere(str(tmp_path), "run-2")


@pytest.mark.usefixtures("homeless")
async def test_without_a_home_there_are_no_states() -> None:
    assert list_states() == []
    assert read_state("run-1") is None
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        assert await runner.reap_orphans() == ReapResult((), ())
        with pytest.raises(LightRunnerError, match="LIGHT_RUNNER_STATE_DIR") as raised:
            await runner.detach(RunRequest(image="fake:1", network="none"))
        assert raised.value.code is LightRunnerErrorCode.STATE_FAILED
        with pytest.raises(LightRunnerError) as raised:
            await runner.attach("run-1")
        assert raised.value.code is LightRunnerErrorCode.RUN_NOT_FOUND


def test_nobody_else_may_look(state_dir: Path) -> None:
    before = os.umask(0)
    try:
        write_state(running())
    finally:
        os.umask(before)
    assert mode_of(state_dir) == 0o700
    assert mode_of(state_dir / "run-1.json") == 0o600


@pytest.mark.parametrize("call", ["fsync", "open", "replace"])
def test_a_write_that_fails_changes_nothing(state_dir: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    write_state(running(exit_code=1))

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space"):
            write_atomically(state_dir / "run-1.json", b"new")
    state = read_state("run-1")
    assert state is not None
    assert state.exit_code == 1
    assert leftovers(state_dir) == set()


def test_it_is_durable_before_it_has_its_name(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112 - a link
        fsync(descriptor)

    def note_replace(source: str, target: str) -> None:
        order.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_state(running())
    assert order == ["file", "rename", "folder"]
    assert state_ids(state_dir) == {"run-1"}


# --- ids and files that are none --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "run_id",
    ["", ".", "..", "../x", "../outside", "a/b", "/etc/passwd", "/", "a.b", ".hidden", "a\0b", "a\n", "-x", "_x", "ä",
     "x" * 129, "x" * 5000, "%2e%2e", "cache-usage", " run-1"],
)  # fmt: skip
def test_no_id_leaves_the_folder(state_dir: Path, run_id: str) -> None:
    write_state(running())
    (state_dir.parent / "outside.json").write_bytes(msgspec.json.encode(running("outside")))
    assert read_state(run_id) is None


def test_the_longest_id() -> None:
    write_state(running("x" * 128))
    assert read_state("x" * 128) is not None


NOT_STATES = {
    "empty.json": b"",
    "torn.json": msgspec.json.encode(running("torn"))[:-20],
    "not-utf8.json": msgspec.json.encode(running("not-utf8")).replace(b"busybox", b"\xff\xfe"),
    "list.json": b"[]",
    "deep.json": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "another.json": msgspec.json.encode(running("other")),
    "has a blank.json": msgspec.json.encode(running("has a blank")),
    "no-status.json": msgspec.json.encode(running("no-status")).replace(b"status", b"statue"),
    "bad-status.json": msgspec.json.encode(running("bad-status")).replace(b'"running"', b'"jogging"'),
    "bad-time.json": msgspec.json.encode(running("bad-time")).replace(b"2024-05-06T", b"yesterday "),
    "no-zone.json": msgspec.json.encode(running("no-zone")).replace(b"Z", b""),
    "bad-timeout.json": msgspec.json.encode(running("bad-timeout", timeout=1.5)).replace(b"1.5", b'"1.5"'),
    "bad-id.json": b'{"id": 3}',
}


@pytest.mark.parametrize("name", NOT_STATES)
def test_what_is_no_state_is_told_and_left_out(state_dir: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    write_state(running())
    (state_dir / name).write_bytes(NOT_STATES[name])
    with caplog.at_level(logging.WARNING, logger="lightrunner"):
        assert [state.id for state in list_states()] == ["run-1"]
    assert [str(state_dir / name) in record.getMessage() for record in caplog.records] == [True]
    assert read_state(name.removesuffix(".json")) is None
    assert (state_dir / name).exists()


def test_a_folder_in_the_place_of_a_state(state_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    (state_dir / "folder.json").mkdir(parents=True)
    assert list_states() == []
    assert "folder.json" in caplog.text


def test_what_lies_beside_the_states_is_no_news(state_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_state(running())
    others = ["cache-usage.json", "run-1.lock", "cache-usage.lock", ".1-x.tmp", "README"]
    for name in others:
        (state_dir / name).write_text("{}")
    assert [state.id for state in list_states()] == ["run-1"]
    assert not caplog.records
    for name in others:
        (state_dir / name).unlink()


def test_only_the_temporary_files_of_the_dead_are_swept(state_dir: Path) -> None:
    state_dir.mkdir()
    names = [f".{DEAD_PID}-abc.tmp", f".{os.getpid()}-abc.tmp", "my.tmp", ".x-abc.tmp"]
    for name in names:
        (state_dir / name).touch()
    sweep_temporary_files()
    assert leftovers(state_dir) == set(names[1:])
    for name in names[1:]:
        (state_dir / name).unlink()


def test_an_error_that_names_a_file_which_is_not_utf8() -> None:
    result = ExtractResult(from_="a", to="/to", status="error", error=os.fsdecode(b"\xff is in the way"))
    write_state(running(extracted=(to_stored(result),)))
    state = read_state("run-1")
    assert state is not None
    assert state.extracted is not None
    assert from_stored(state.extracted[0]).error == "\\udcff is in the way"
