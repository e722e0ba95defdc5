"""`DockerRunner.attach` returns the run's true result at any time, and extracts the files once."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode, LogLine, read_state
from tests.detached.detached_runs import (
    UNTIL_RELEASED,
    Lines,
    attach,
    end,
    exited,
    is_gone,
    is_running,
    name_of,
    release,
    script,
)
from tests.detached.host_process import host_process
from tests.detached.state_folder import stored
from tests.runs.checkpoints import cancelled_at, count_steps
from tests.runs.host_folders import lay_out, names
from tools.raw_engine import RawEngine

NOWHERE = "unix:///nowhere/docker.sock"


# --- before, at and after the exit ------------------------------------------------------------------------------------


async def test_a_running_one_tells_its_log_from_the_start_and_then_live(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    run_id = await runner.detach(script(busybox, f"echo early; {UNTIL_RELEASED}; echo late >&2; printf end; exit 5"))
    lines = Lines()
    async with trio.open_nursery() as nursery:
        execution = await attach(nursery, runner, run_id, on_log=lines)
        assert execution.id == run_id
        await lines.wait_for("early")
        assert is_running(raw, run_id)
        release(raw, run_id)
        result = await execution.wait()
    assert lines.texts[0] == "early"
    assert sorted(lines.texts) == ["early", "end", "late"]
    assert (result.exit_code, result.success, result.cancelled, result.timed_out) == (5, False, False, False)


async def test_one_that_exited_unwatched(runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path) -> None:
    request = script(busybox, "sleep 1; echo told; echo kept > file", extract=[ExtractSpec("file", tmp_path / "to")])
    run_id = await runner.detach(request)
    await exited(raw, run_id)
    await trio.sleep(1.5)
    lines = Lines()
    result = await runner.attach(run_id, on_log=lines)
    assert lines.texts == ["told"]
    assert (result.exit_code, result.success) == (0, True)
    assert 0.9 <= result.duration < 2.3, "from the start to the exit, not to the attach"
    assert (tmp_path / "to" / "file").read_text() == "kept\n"
    assert is_gone(raw, run_id)


async def test_a_finished_one_answers_from_its_file(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    request = script(busybox, "echo x > file; echo told", extract=[ExtractSpec("file", tmp_path / "to")])
    run_id = await runner.detach(request)
    first = await runner.attach(run_id)
    (tmp_path / "to" / "file").unlink()
    lines = Lines()
    async with DockerRunner(host=NOWHERE) as elsewhere, trio.open_nursery() as nursery:
        again = await elsewhere.attach(run_id, on_log=lines)
        execution = await attach(nursery, elsewhere, run_id)
        assert await execution.wait() == again
    assert (again.exit_code, again.duration, again.extracted) == (first.exit_code, first.duration, first.extracted)
    assert lines.texts == [], "its log went with its container"
    assert not (tmp_path / "to" / "file").exists()


async def test_the_result_on_the_disk(runner: DockerRunner, busybox: str, state_dir: Path, tmp_path: Path) -> None:
    request = script(busybox, "exit 0", extract=[ExtractSpec("/etc/passwd", tmp_path), ExtractSpec("no", tmp_path)])
    run_id = await runner.detach(request)
    result = await runner.attach(run_id)
    state = stored(state_dir, run_id)
    assert (state["status"], state["exitCode"]) == ("exited", 0)
    assert state["durationMs"] / 1000 == result.duration
    assert state["startedAt"] <= state["finishedAt"]
    assert result.duration >= 0
    assert [(entry["from"], entry["to"], entry["status"]) for entry in state["extracted"]] == [
        ("/etc/passwd", str(tmp_path), "ok"),
        ("/app/no", str(tmp_path), "missing"),
    ]


@pytest.mark.parametrize("run_id", ["unknown", "", "../state", "/etc/passwd", "a\0b", "x" * 500])
async def test_an_unknown_one(run_id: str) -> None:
    async with DockerRunner(host=NOWHERE) as runner:
        with pytest.raises(LightRunnerError) as raised:
            await runner.attach(run_id)
        assert raised.value.code is LightRunnerErrorCode.RUN_NOT_FOUND
        async with trio.open_nursery() as nursery:
            with pytest.raises(LightRunnerError) as raised:
                await nursery.start(runner.attach, run_id)
        assert raised.value.code is LightRunnerErrorCode.RUN_NOT_FOUND


async def test_one_whose_container_somebody_removed(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60"))
    raw.remove_container(name_of(run_id))
    for _ in range(2):
        with pytest.raises(LightRunnerError, match="the container is gone") as raised:
            await runner.attach(run_id)
        assert raised.value.code is LightRunnerErrorCode.RUN_FAILED
    assert stored(state_dir, run_id)["status"] == "failed"
    assert is_gone(raw, run_id)


async def test_one_whose_container_somebody_removes_meanwhile(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    run_id = await runner.detach(script(busybox, "echo up; sleep 60"))
    lines = Lines()
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            with pytest.raises(LightRunnerError) as raised:
                await runner.attach(run_id, on_log=lines)
            assert raised.value.code is LightRunnerErrorCode.RUN_FAILED

        nursery.start_soon(watch)
        await lines.wait_for("up")
        raw.remove_container(name_of(run_id))


async def test_oom_is_told(engine_host: str, daemon_clean: RawEngine, busybox: str) -> None:
    async with DockerRunner(host=engine_host, memory="16m") as runner:
        run_id = await runner.detach(script(busybox, "head -c 64m /dev/zero | tail"))
        result = await runner.attach(run_id)
    assert result.oom_killed
    assert is_gone(daemon_clean, run_id)


async def test_an_error_that_names_a_file_which_is_not_utf8(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).touch()
    text = r"mkdir -p out; mkdir out/$(printf '\377'); touch out/$(printf '\377')/x"
    run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("out", tmp_path)]))
    result = await runner.attach(run_id)
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["error"]
    assert await runner.attach(run_id) == result


# --- those who go away again ------------------------------------------------------------------------------------------


async def test_an_attach_that_is_cancelled_leaves_the_run_alone(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    run_id = await runner.detach(script(busybox, f"echo early; {UNTIL_RELEASED}; echo late; exit 4"))
    for _ in range(2):
        lines = Lines()
        async with trio.open_nursery() as nursery:
            execution = await attach(nursery, runner, run_id, on_log=lines)
            await lines.wait_for("early")
            nursery.cancel_scope.cancel()
        with pytest.raises(LightRunnerError) as raised:
            await execution.wait()
        assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED
        assert is_running(raw, run_id)
    release(raw, run_id)
    lines = Lines()
    assert (await runner.attach(run_id, on_log=lines)).exit_code == 4
    assert lines.texts == ["early", "late"]


async def test_a_callback_that_fails_leaves_the_run_alone(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    def fail(_: LogLine) -> None:
        raise ZeroDivisionError

    run_id = await runner.detach(script(busybox, f"echo early; {UNTIL_RELEASED}; exit 4"))
    with pytest.raises(ZeroDivisionError):
        await runner.attach(run_id, on_log=fail)
    assert is_running(raw, run_id)
    release(raw, run_id)
    assert (await runner.attach(run_id)).exit_code == 4


async def test_cancelled_at_each_checkpoint_the_next_one_gets_everything(
    runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    """The container has exited: what is cut off are the log, the extract, and the end."""
    completed = 0

    async def check(step: int) -> None:
        nonlocal completed
        to = tmp_path / f"to {step}"
        run_id = await runner.detach(script(busybox, "echo x > file; seq 20", extract=[ExtractSpec("file", to)]))
        await exited(raw, run_id)
        countdown = await cancelled_at(step, partial(runner.attach, run_id, on_log=Lines()))
        completed += not countdown.is_over
        state = read_state(run_id)
        assert state is not None
        lines = Lines()
        result = await runner.attach(run_id, on_log=lines)
        assert (result.exit_code, result.cancelled) == (0, False), f"cancelled at step {step}"
        assert names(to) == {"file"}, f"cancelled at step {step}"
        assert len(lines.texts) == (0 if state.finished else 20), f"cancelled at step {step}"
        assert is_gone(raw, run_id), f"cancelled at step {step}"

    first = 1
    while not completed:
        with count_steps():
            async with trio.open_nursery() as nursery:
                for step in range(first, first + 9 * 16, 9):
                    nursery.start_soon(check, step)
        first += 9 * 16


async def test_a_process_that_is_killed_while_attached_loses_nothing(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    text = f"echo up; {UNTIL_RELEASED}; echo x > file; exit 0"
    run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("file", tmp_path / "to")]))
    async with host_process(engine_host, "attach", {"run_id": run_id}) as host:
        await host.next_told(2)
        host.process.send_signal(signal.SIGKILL)
    assert is_running(raw, run_id)
    release(raw, run_id)
    result = await runner.attach(run_id, on_log=Lines())
    assert (result.exit_code, (tmp_path / "to" / "file").read_text()) == (0, "x\n")
    await runner.reap_orphans()  # what it held


async def test_what_a_process_that_was_killed_while_it_extracted_has_left(
    runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    run_id = await runner.detach(script(busybox, "echo x > file", extract=[ExtractSpec("file", tmp_path / "to")]))
    await exited(raw, run_id)
    lay_out(tmp_path / "to", {f".light-runner-{run_id}/fi": "half"})
    result = await runner.attach(run_id)
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok"]
    assert names(tmp_path / "to") == {"file"}


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_the_list_is_of_the_files(runner: DockerRunner, busybox: str) -> None:
    run_ids = [await runner.detach(script(busybox, "sleep 60")) for _ in range(2)]
    assert [(state.id, state.status) for state in await runner.list()] == [(run_id, "running") for run_id in run_ids]
    async with trio.open_nursery() as nursery:
        for run_id in run_ids:
            nursery.start_soon(partial(end, runner, run_id))
    assert [(state.id, state.status) for state in await runner.list()] == [(run_id, "cancelled") for run_id in run_ids]
