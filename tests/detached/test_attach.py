"""`DockerRunner.attach`: whoever comes, whenever, gets the run's true result; the files come out once."""

import json
import os
import signal
import subprocess
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
from tests.detached.host_process import as_keywords, host_process
from tests.detached.state_folder import stored
from tests.fake_daemon import CONTAINER_ID, Request, fake_daemon, in_turn, json_answer, plain
from tests.runs.checkpoints import cancelled_at, count_steps
from tests.runs.shell_runs import EventLog
from tools.raw_engine import RawEngine

NOWHERE = "unix:///nowhere/docker.sock"
MANY_LINES = "seq 1 200"
ALL_LINES = [str(number) for number in range(1, 201)]


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
    assert 1.0 <= result.duration < 2.4, "from the start to the exit, not to the attach"
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
    assert state["startedAt"] < state["finishedAt"]
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
        with pytest.raises(LightRunnerError) as raised:
            async with trio.open_nursery(strict_exception_groups=False) as nursery:
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
    text = "echo x > file; seq 1 20"
    results: list[int] = []
    for step in range(1, 200, 7):
        to = tmp_path / f"to {step}"
        run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("file", to)]))
        await exited(raw, run_id)

        async def attach_once(run_id: str = run_id) -> None:
            results.append((await runner.attach(run_id, on_log=Lines())).exit_code)

        with count_steps():
            is_over = (await cancelled_at(step, attach_once)).is_over
        lines = Lines()
        state = read_state(run_id)
        assert state is not None
        result = await runner.attach(run_id, on_log=lines)
        assert (result.exit_code, result.cancelled) == (0, False), f"cancelled at step {step}"
        assert [path.name for path in to.iterdir()] == ["file"], f"cancelled at step {step}"
        assert len(lines.texts) == (0 if state.finished else 20), f"cancelled at step {step}"
        assert is_gone(raw, run_id), f"cancelled at step {step}"
        if not is_over:
            break
    assert results[-1:] == [0], "an attach has fewer steps than that"


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


# --- several at once --------------------------------------------------------------------------------------------------


async def test_two_in_one_process(runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path) -> None:
    text = f"{MANY_LINES}; echo x > file"
    events = EventLog(raw)
    run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("file", tmp_path / "to")]))
    quick, slow = Lines(), Lines(seconds_each=0.01)
    async with trio.open_nursery() as nursery:
        executions = [await attach(nursery, runner, run_id, on_log=lines) for lines in (quick, slow)]
        results = [await execution.wait() for execution in executions]
    assert results[0] == results[1]
    assert results[0].success
    assert quick.texts == slow.texts == ALL_LINES
    assert (tmp_path / "to" / "file").read_text() == "x\n"
    assert events.actions().count("container archive-path") == 1
    assert is_gone(raw, run_id)


async def test_two_processes_one_of_them_slow(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    events = EventLog(raw)
    text = f"{MANY_LINES}; {UNTIL_RELEASED}; {MANY_LINES}; echo x > file"
    run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("file", tmp_path / "to")]))
    lines = Lines()
    slow = {"run_id": run_id, "seconds_each": 0.01}
    async with (
        host_process(engine_host, "attach", slow) as first,
        host_process(engine_host, "attach", slow) as second,
        trio.open_nursery() as nursery,
    ):
        execution = await attach(nursery, runner, run_id, on_log=lines)
        for host in (first, second):
            await host.next_told(2)
        release(raw, run_id)
        result = await execution.wait()
        assert is_gone(raw, run_id)
    told = [host.told for host in (first, second)]
    assert lines.texts == ALL_LINES * 2
    for ready, *texts, end_of_it in told:
        assert (ready, texts) == ("ready", ALL_LINES * 2)
        assert end_of_it == [0, result.duration, ["ok"]]
    assert events.actions().count("container archive-path") == 1
    assert (tmp_path / "to" / "file").read_text() == "x\n"


async def test_many_come_as_it_exits(runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path) -> None:
    """Some find it running, some exited, some finished; each that finds its log finds all of it."""
    run_id = await runner.detach(
        script(busybox, f"{MANY_LINES}; echo x > file", extract=[ExtractSpec("file", tmp_path / "to")])
    )
    codes: list[int] = []

    async def come(after: float) -> None:
        await trio.sleep(after)
        lines = Lines()
        codes.append((await runner.attach(run_id, on_log=lines)).exit_code)
        assert lines.texts in (ALL_LINES, [])
        assert lines.texts or after

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(come, number * 0.02)
    assert codes == [0] * 20
    assert is_gone(raw, run_id)


# --- a start that is still to come, in another process ----------------------------------------------------------------


def inspected(status: str) -> dict[str, object]:
    times = {"StartedAt": "2024-05-06T07:08:09.5Z", "FinishedAt": "2024-05-06T07:08:10.75Z"}
    state = {"Status": status, "Running": status == "running", "ExitCode": 6, **times}
    return {"Id": CONTAINER_ID, "Name": "/c", "Created": "2024-05-06T07:08:09.1Z", "State": state, "Config": {}}


async def test_it_waits_for_the_start(state_dir: Path) -> None:
    answers = [json_answer({"message": "No such container"}, status=404)]
    answers += [json_answer(inspected(status)) for status in ("created", "created", "running", "exited")]
    hold = trio.Event()

    async def start(request: Request) -> None:
        await hold.wait()
        await plain(status=204)(request)

    daemon_script = {"container_inspect": in_turn(*answers), "container_start": start}
    async with fake_daemon(daemon_script) as daemon, DockerRunner(host=daemon.host) as runner:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.detach, script("fake:1", "true"))
            while not daemon.requests("container_start"):
                await trio.sleep(0.01)
            (path,) = state_dir.glob("*.json")
            result = await runner.attach(path.stem)
            hold.set()
    assert (result.exit_code, result.duration) == (6, 1.25)
    assert len(daemon.requests("container_inspect")) == 5


async def test_a_start_that_will_never_come_is_told(state_dir: Path) -> None:
    """The process that was to start it died before."""
    with subprocess.Popen(["true"]) as dead:
        pass
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        run_id = await runner.detach(script("fake:1", "true"))
    state = stored(state_dir, run_id)
    host, boot, _, start = state["owner"].split("/")
    state |= {"starting": True, "owner": f"{host}/{boot}/{dead.pid}/{start}"}
    (state_dir / f"{run_id}.json").write_text(json.dumps(state))
    created = {"container_inspect": json_answer(inspected("created"))}
    async with fake_daemon(created) as daemon, DockerRunner(host=daemon.host) as runner:
        with pytest.raises(LightRunnerError, match="died before the start"):
            await runner.attach(run_id)
    assert daemon.requests("container_delete")


@pytest.mark.parametrize("operation", ["container_inspect", "container_wait", "container_logs"])
async def test_a_daemon_that_fails_is_told_and_the_run_stays(state_dir: Path, operation: str) -> None:
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        run_id = await runner.detach(script("fake:1", "true"))
    broken = {operation: json_answer({"message": "out of order"}, status=500)}
    async with fake_daemon(broken) as daemon, DockerRunner(host=daemon.host) as runner:
        with pytest.raises(LightRunnerError, match="out of order") as raised:
            await runner.attach(run_id, on_log=Lines())
    assert raised.value.code is LightRunnerErrorCode.RUN_FAILED
    assert stored(state_dir, run_id)["status"] == "running"
    assert not daemon.requests("container_delete")


async def test_detached_elsewhere_attached_here(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str
) -> None:
    """The process that has detached it attaches to it as well."""
    keywords = as_keywords(busybox, f"echo up; {UNTIL_RELEASED}; exit 9")
    async with host_process(engine_host, "detach_and_attach", keywords) as host:
        run_id = await host.next_told(2)
        await host.next_told(3)
        async with trio.open_nursery() as nursery:
            execution = await attach(nursery, runner, run_id)
            release(raw, run_id)
            assert (await execution.wait()).exit_code == 9
    assert host.told[2:] == ["up", 9]


async def test_the_list_is_of_the_files(runner: DockerRunner, busybox: str) -> None:
    run_ids = [await runner.detach(script(busybox, "sleep 60")) for _ in range(2)]
    assert [(state.id, state.status) for state in await runner.list()] == [(run_id, "running") for run_id in run_ids]
    async with trio.open_nursery() as nursery:
        for run_id in run_ids:
            nursery.start_soon(partial(end, runner, run_id))
    assert [(state.id, state.status) for state in await runner.list()] == [(run_id, "cancelled") for run_id in run_ids]
