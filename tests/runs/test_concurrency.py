"""Many runs at once: each gets its own output, and `max_concurrent` holds."""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from tests.runs.conftest import MakeRunner
from tests.runs.shell_runs import shell, start_ready
from tools.raw_engine import RawEngine


class Crowd:
    """Runs that count how many of them there are at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def run(self, runner: DockerRunner, request: RunRequest) -> None:
        """One run, counted from its first line of output to its end."""

        def came(_: object) -> None:
            self.now += 1
            self.most = max(self.most, self.now)

        assert (await runner.run(request, on_log=came)).success
        self.now -= 1


async def test_runs_do_not_mix(runner: DockerRunner, busybox: str) -> None:
    """8 at once, three times over."""

    async def one(number: int) -> None:
        for turn in range(3):
            value = f"{number} in turn {turn}"
            result = await runner.run(
                shell(busybox, 'cat >file; cat file; printf "$MINE" >&2', input=value, env={"MINE": value})
            )
            assert (result.stdout, result.stderr) == (f'"{value}"'.encode(), value.encode())

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)


@pytest.mark.needs("isolated_network")
async def test_two_runners_at_once(runner: DockerRunner, make_runner: MakeRunner, busybox: str) -> None:
    outputs: dict[str, bytes | None] = {}

    async def one(which: DockerRunner, name: str) -> None:
        outputs[name] = (await which.run(shell(busybox, f"echo {name}", network=None))).stdout

    async with make_runner(memory="64m") as other, trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(one, runner, f"first-{number}")
            nursery.start_soon(one, other, f"second-{number}")
    assert outputs == {name: f"{name}\n".encode() for name in outputs}
    assert len(outputs) == 6


async def test_max_concurrent(make_runner: MakeRunner, busybox: str) -> None:
    crowd = Crowd()
    async with make_runner(max_concurrent=2) as runner, trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(crowd.run, runner, shell(busybox, "echo up; sleep 0.5"))
    assert crowd.most == 2


async def test_without_it_there_is_no_limit(runner: DockerRunner, busybox: str) -> None:
    crowd = Crowd()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(crowd.run, runner, shell(busybox, "echo up; sleep 3"))
    assert crowd.most > 2


async def test_runners_may_share_a_limiter(make_runner: MakeRunner, busybox: str) -> None:
    crowd = Crowd()
    limiter = trio.CapacityLimiter(1)
    async with (
        make_runner(max_concurrent=limiter) as one,
        make_runner(max_concurrent=limiter) as other,
        trio.open_nursery() as nursery,
    ):
        for runner in (one, other, one, other):
            nursery.start_soon(crowd.run, runner, shell(busybox, "echo up; sleep 0.2"))
    assert crowd.most == 1
    assert limiter.borrowed_tokens == 0


async def test_a_place_is_given_back_whatever_happens(make_runner: MakeRunner, busybox: str) -> None:
    limiter = trio.CapacityLimiter(1)
    async with make_runner(max_concurrent=limiter) as runner:
        with pytest.raises(LightRunnerError):
            await runner.run(shell(busybox, "true", network="no-such-network"))
        with trio.move_on_after(0.1):
            await runner.run(shell(busybox, "sleep 60"))
        assert limiter.borrowed_tokens == 0
        assert (await runner.run(shell(busybox, "true"))).success


async def test_who_waits_for_a_place_has_made_nothing_and_can_be_cancelled(
    make_runner: MakeRunner, raw: RawEngine, busybox: str
) -> None:
    async with make_runner(max_concurrent=1) as runner, trio.open_nursery() as nursery:
        execution = await start_ready(nursery, runner, shell(busybox, "echo ready; sleep 60"))
        with trio.move_on_after(0.3) as patience:
            await runner.run(shell(busybox, "true"))
        assert patience.cancelled_caught
        assert len(raw.containers()) == 1
        execution.cancel()


async def test_a_run_that_is_held_has_one_connection(runner: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        await start_ready(nursery, runner, shell(busybox, "echo ready; sleep 60"))
        alone = connections()
        for _ in range(4):
            await start_ready(nursery, runner, shell(busybox, "echo ready; sleep 60"))
        assert connections() - alone == 4
        nursery.cancel_scope.cancel()


def connections() -> int:
    """How many sockets this process has open."""
    # Listing the folder takes a descriptor, which is gone when it is looked at.
    links = [entry.readlink().name for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(link.startswith("socket:") for link in links)
