"""`DockerRunner.detach` returns once the container has started, and the process may exit at once."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lightrunner import (
    DockerRunner,
    ExtractResult,
    ExtractSpec,
    LightRunnerError,
    LightRunnerErrorCode,
    RunRequest,
    RunState,
    list_states,
    read_state,
)
from lightrunner.runs.prepare import Preparation
from lightrunner.testing import Request, json_answer, plain, proceed
from tests.detached.detached_runs import Lines, end, exited, is_gone, is_running, name_of, script
from tests.detached.host_process import as_keywords, detached_by_another, host_process
from tests.detached.state_folder import forget_all, mode_of, state_ids, stored
from tests.fake_daemon import fake_daemon
from tests.runs.checkpoints import cancelled_at, count_steps
from tools.raw_engine import RawEngine

FAKE = RunRequest(image="fake:1", network="none")
CREATED: dict[str, object] = {"Id": "c" * 64, "Warnings": []}


async def test_it_returns_while_the_container_runs(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60"))
    assert is_running(raw, run_id)
    (volume,) = raw.volumes(label=f"light-runner.run-id={run_id}")
    assert volume["Name"] == name_of(run_id)
    assert state_ids(state_dir) == {run_id}
    await end(runner, run_id)
    assert is_gone(raw, run_id)


async def test_the_process_may_be_gone(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "input").write_text("of the host")
    text = "echo first; cp input output; sleep 1; echo last >&2; exit 0"
    request = as_keywords(busybox, text, dir=str(source), extract=[["output", str(tmp_path / "to")]])
    run_id = await detached_by_another(engine_host, request)
    lines = Lines()
    result = await runner.attach(run_id, on_log=lines)
    assert (result.exit_code, result.success, result.stdout) == (0, True, None)
    assert 0.9 <= result.duration < 30.0
    assert sorted(lines.texts) == ["first", "last"]
    assert result.extracted is not None
    (extracted,) = result.extracted
    assert (extracted.from_, extracted.to, extracted.status) == ("/app/output", str(tmp_path / "to"), "ok")
    assert (tmp_path / "to" / "output").read_text() == "of the host"
    assert is_gone(raw, run_id)


async def test_the_state_on_the_disk(runner: DockerRunner, busybox: str, state_dir: Path, tmp_path: Path) -> None:
    request = script(busybox, "sleep 60", timeout=99.5, extract=[ExtractSpec("out", tmp_path / "to")])
    before = time.time()
    run_id = await runner.detach(request)
    state = stored(state_dir, run_id)
    assert state.keys() == {
        "id", "container", "volume", "image", "workdir", "entrypoint", "startedAt", "status",  # light-runner's
        "timeout", "deadline", "bootDeadline", "boot", "extract", "maxExtractBytes", "memory",
        "owner",
    }  # fmt: skip
    assert state["id"] == run_id
    assert state["container"] == state["volume"] == name_of(run_id)
    assert (state["image"], state["workdir"], state["entrypoint"]) == (busybox, "/app", "sleep 60")
    assert (state["status"], state["timeout"], state["maxExtractBytes"]) == ("running", 99.5, 1 << 30)
    assert state["extract"] == [{"from": "/app/out", "to": str(tmp_path / "to")}]
    assert state["owner"].split("/")[2] == str(os.getpid())
    parsed = read_state(run_id)
    assert parsed is not None
    assert parsed.deadline is not None
    assert before <= parsed.started_at.timestamp() <= time.time()
    assert (parsed.deadline - parsed.started_at).total_seconds() == 99.5
    assert mode_of(state_dir / f"{run_id}.json") == 0o600
    assert mode_of(state_dir) == 0o700
    await end(runner, run_id)


async def test_the_daemon_keeps_a_bounded_log(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60"))
    config = raw.get(f"/containers/{name_of(run_id)}/json")["HostConfig"]["LogConfig"]
    assert config == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "16m"}}
    await end(runner, run_id)


async def test_a_relative_target_is_of_the_detaching_process(
    runner: DockerRunner, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run_id = await runner.detach(script(busybox, "echo x > file", extract=[ExtractSpec("file", "to")]))
    monkeypatch.chdir(tmp_path / "there")
    result = await runner.attach(run_id)
    to = tmp_path / "here" / "to"
    assert result.extracted == (ExtractResult(from_="/app/file", to=str(to), status="ok", bytes=2048),)
    assert (to / "file").read_text() == "x\n"
    assert not list((tmp_path / "there").iterdir())


async def test_a_rejected_extract_is_rejected_at_attach(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    bad = [ExtractSpec("../x", tmp_path), ExtractSpec("", tmp_path), ExtractSpec("x", "../to"), ExtractSpec("x", "")]
    result = await runner.attach(await runner.detach(script(busybox, "true", extract=bad)))
    assert result.success
    assert result.extracted is not None
    assert [(entry.from_, str(entry.to), entry.status) for entry in result.extracted] == [
        (entry.from_, str(entry.to), "error") for entry in bad
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"input": {"n": 1}},
        {"input": b""},
        {"capture_output": True},
        {"cpu_timeout": 1.0},
        {"output_limit": 1},
        {"tty": True},
        {"image": "no image"},
    ],
)
async def test_what_is_refused_makes_nothing(state_dir: Path, fields: dict[str, Any]) -> None:
    (field,) = fields
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        with pytest.raises(LightRunnerError, match=field) as raised:
            await runner.detach(script(**{"image": "fake:1", "text": "true"} | fields))
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert daemon.requests_seen == []
    assert mode_of(state_dir) is None


@pytest.mark.usefixtures("daemon_clean")
@pytest.mark.parametrize(
    ("options", "fields", "code"),
    [
        ({}, {"network": "no-such-network"}, LightRunnerErrorCode.CONTAINER_START_FAILED),
        ({"runtime": "no-such-runtime"}, {}, LightRunnerErrorCode.CONTAINER_START_FAILED),
        ({}, {"image": "localhost:9/no/such:1"}, LightRunnerErrorCode.IMAGE_PULL_FAILED),
    ],
)
async def test_a_start_that_fails_leaves_nothing(  # noqa: PLR0917 - fixtures and parameters
    engine_host: str,
    busybox: str,
    state_dir: Path,
    options: dict[str, Any],
    fields: dict[str, Any],
    code: LightRunnerErrorCode,
) -> None:
    async with DockerRunner(host=engine_host, **options) as runner:
        with pytest.raises(LightRunnerError) as raised:
            await runner.detach(script(**{"image": busybox, "text": "true"} | fields))
    assert raised.value.code is code
    assert state_ids(state_dir) == set()


async def test_the_state_is_there_before_the_container(state_dir: Path) -> None:
    seen: list[dict[str, object]] = []

    async def create(request: Request) -> None:
        (run_id,) = state_ids(state_dir)
        seen.append(stored(state_dir, run_id))
        await proceed(request)

    async with fake_daemon({"container_create": create}) as daemon, DockerRunner(host=daemon.host) as runner:
        run_id = await runner.detach(FAKE)
    assert [(state["id"], state["status"], state["starting"]) for state in seen] == [(run_id, "running", True)]
    assert "starting" not in stored(state_dir, run_id)


async def test_a_failure_whose_removal_fails_too_is_kept_for_the_reaper(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lightrunner.resources.CLEANUP_TIMEOUT", 0.2)
    refuse = json_answer({"message": "no"}, status=500)
    script = {"container_start": refuse, "container_delete": refuse}
    async with fake_daemon(script) as daemon, DockerRunner(host=daemon.host) as runner:
        with pytest.raises(LightRunnerError, match="no"):
            await runner.detach(FAKE)
    (state,) = list_states()
    assert (state.status, state.error) == ("failed", "it could not be started")
    assert "could not be removed" in caplog.text


async def test_cancelled_at_each_checkpoint_it_leaves_nothing_or_has_an_id(state_dir: Path) -> None:
    returned: list[str] = []

    steps, is_over = 0, True
    async with fake_daemon({"container_start": plain(status=204)}) as daemon:
        while is_over:
            steps += 1
            asked = len(daemon.requests_seen)
            with count_steps():
                async with DockerRunner(host=daemon.host) as runner:

                    async def detach() -> None:
                        returned.append(await runner.detach(FAKE))

                    is_over = (await cancelled_at(steps, detach)).is_over
            operations = [request.operation for request in daemon.requests_seen[asked:]]
            if state_ids(state_dir) - set(returned):
                raise AssertionError(f"cancelled at step {steps} there is a run that nobody knows of")
            if "container_create" in operations:
                assert ("container_delete" in operations) == (len(returned) == 0), f"cancelled at step {steps}"
            if returned:
                assert state_ids(state_dir) == {returned.pop()}
                forget_all(state_dir)
    assert steps > 15


async def test_somebody_who_finishes_it_at_once_is_not_overwritten(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the start and the moment at which it is noted, another one finds the run, and its end."""
    start = Preparation.start
    finished: list[RunState | None] = []

    async def start_and_be_overtaken(preparation: Preparation, container_id: str) -> None:
        await start(preparation, container_id)
        await exited(raw, preparation.id)
        async with DockerRunner(host=engine_host) as other:
            assert (await other.attach(preparation.id)).exit_code == 3
        finished.append(read_state(preparation.id))

    monkeypatch.setattr(Preparation, "start", start_and_be_overtaken)
    run_id = await runner.detach(script(busybox, "exit 3"))
    assert finished == [read_state(run_id)]
    assert (await runner.attach(run_id)).exit_code == 3


@pytest.mark.usefixtures("daemon_clean")
async def test_an_interrupt_at_the_last_moment_leaves_nothing(engine_host: str, busybox: str, state_dir: Path) -> None:
    """Ctrl-C while the start is noted: nobody would ever get the id."""
    keywords = as_keywords(busybox, "sleep 60")
    async with host_process(engine_host, "detach_and_be_interrupted", keywords) as host:
        pass
    assert host.told == ["interrupted"]
    assert host.process.returncode == -signal.SIGINT
    assert state_ids(state_dir) == set()
