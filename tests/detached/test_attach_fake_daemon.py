"""`DockerRunner.attach` in states that a real engine does not stay in, on a scripted daemon."""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from lightrunner.host.owner import current_owner
from lightrunner.testing import Request, in_turn, json_answer, plain, refuse
from tests.detached.detached_runs import Lines, script
from tests.detached.state_folder import state_ids, store, stored
from tests.fake_daemon import fake_daemon


def inspected(status: str) -> dict[str, object]:
    """What the daemon says of a container."""
    times = {"StartedAt": "2024-05-06T07:08:09.5Z", "FinishedAt": "2024-05-06T07:08:10.75Z"}
    state = {"Status": status, "Running": status == "running", "ExitCode": 6, **times}
    return {"Id": "c" * 64, "Name": "/c", "Created": "2024-05-06T07:08:09.1Z", "State": state, "Config": {}}


async def test_it_waits_for_the_start(state_dir: Path) -> None:
    answers = [json_answer({"message": "No such container"}, status=404)]
    answers += [json_answer(inspected(status)) for status in ("created", "created", "running", "exited")]
    is_asked, go_on = trio.Event(), trio.Event()

    async def start(request: Request) -> None:
        is_asked.set()
        await go_on.wait()
        await plain(status=204)(request)

    async with (
        fake_daemon({"container_inspect": in_turn(*answers), "container_start": start}) as daemon,
        DockerRunner(host=daemon.host) as runner,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(runner.detach, script("fake:1", "true"))
        await is_asked.wait()
        (run_id,) = state_ids(state_dir)
        result = await runner.attach(run_id)
        go_on.set()
    assert (result.exit_code, result.duration) == (6, 1.25)
    assert len(daemon.requests("container_inspect")) == 5


async def test_a_start_that_will_never_come_is_told(state_dir: Path) -> None:
    """The process that was to start it died before."""
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        run_id = await runner.detach(script("fake:1", "true"))
    mine = current_owner()
    store(state_dir, run_id, starting=True, owner=str(mine._replace(start="1")))
    created = {"container_inspect": json_answer(inspected("created"))}
    async with fake_daemon(created) as daemon, DockerRunner(host=daemon.host) as runner:
        with pytest.raises(LightRunnerError, match="died before the start"):
            await runner.attach(run_id)
    assert daemon.requests("container_delete")


@pytest.mark.parametrize("operation", ["container_inspect", "container_wait", "container_logs"])
async def test_a_daemon_that_fails_is_told_and_the_run_stays(state_dir: Path, operation: str) -> None:
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        run_id = await runner.detach(script("fake:1", "true"))
        daemon.script[operation] = refuse(500, "out of order")
        with pytest.raises(LightRunnerError, match="out of order") as raised:
            await runner.attach(run_id, on_log=Lines())
    assert raised.value.code is LightRunnerErrorCode.RUN_FAILED
    assert stored(state_dir, run_id)["status"] == "running"
    assert not daemon.requests("container_delete")


async def test_a_start_that_the_daemon_noted_after_the_exit(state_dir: Path) -> None:
    """Seen on 20.10, by some milliseconds, with containers that exit at once."""
    container = inspected("exited")
    container["State"] = {"Status": "exited", "ExitCode": 6} | {
        "StartedAt": "2024-05-06T07:08:10.752Z",
        "FinishedAt": "2024-05-06T07:08:10.75Z",
    }
    async with (
        fake_daemon({"container_inspect": json_answer(container)}) as daemon,
        DockerRunner(host=daemon.host) as runner,
    ):
        run_id = await runner.detach(script("fake:1", "true"))
        assert (await runner.attach(run_id)).duration == 0.0
    state = stored(state_dir, run_id)
    assert state["startedAt"] == state["finishedAt"] == "2024-05-06T07:08:10.750000Z"
