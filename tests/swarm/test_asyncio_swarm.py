"""`lightrunner.asyncio.SwarmRunner`: the same runs on a swarm, awaited from asyncio."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from lightrunner import RunRequest
from lightrunner.asyncio import ExtractSpec, LightRunnerError, LightRunnerErrorCode, LogLine, SwarmRunner
from tests.aio.programs import run_program
from tests.swarm.conftest import Swarm

pytestmark = pytest.mark.private_engine


def opened(swarm: Swarm) -> SwarmRunner:
    """Make a runner, which is to be opened, with the options of the trio runner of these tests."""
    return SwarmRunner(**msgspec.structs.asdict(swarm.runner().options))


def test_a_cold_run_with_files_input_and_lines(swarm: Swarm, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("from the host\n")
    request = swarm.request(
        "cat; echo; tee made.txt <a.txt; exit 3",
        input=[1],
        dir=tmp_path / "source",
        extract=[ExtractSpec("made.txt", tmp_path)],
    )
    lines: list[LogLine] = []

    async def main() -> None:
        async with opened(swarm) as runner:
            assert await runner.is_available()
            result = await runner.run(request, on_log=lines.append)
        assert (result.exit_code, result.stdout) == (3, b"[1]\nfrom the host\n")

    run_program(main())
    assert [line.text for line in lines] == ["[1]", "from the host"]


def test_a_pool_and_who_joins_it(swarm: Swarm) -> None:
    request = swarm.request("hostname")

    async def main() -> None:
        async with (
            opened(swarm) as runner,
            runner.warm(request, size=2, shared=1) as pool,
            opened(swarm) as other,
            other.join(pool.service_id, request) as joined,
        ):
            assert joined.service_id == pool.service_id
            results = await asyncio.gather(pool.run(request), pool.run(request), joined.run(request))
            execution = await pool.start(swarm.request("exec sleep 100"))
            execution.cancel()
            assert (await execution.wait()).cancelled
        assert len({result.stdout for result in results}) == 3

    run_program(main())


@pytest.mark.parametrize("warm", [False, True])
def test_a_cancelled_task_leaves_nothing(swarm: Swarm, warm: bool) -> None:  # noqa: FBT001
    request = swarm.request("echo ready; exec sleep 100")
    ready = asyncio.Event()

    async def main() -> None:
        async with opened(swarm) as runner, runner.warm(request, size=1) as pool:
            run = pool.run if warm else runner.run
            task = asyncio.create_task(run(request, on_log=lambda _: ready.set()))
            await ready.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run_program(main())


def test_a_handle_of_a_cold_run(swarm: Swarm) -> None:
    ready = asyncio.Event()
    request = swarm.request("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")

    async def main() -> None:
        async with opened(swarm) as runner:
            execution = await runner.start(request, on_log=lambda _: ready.set())
            await ready.wait()
            await execution.stop()
            result = await execution.wait()
        assert (result.cancelled, result.exit_code) == (True, 7)

    run_program(main())


def test_a_map_of_requests_that_come_by_themselves(swarm: Swarm) -> None:
    async def requests() -> AsyncIterator[RunRequest]:
        for number in range(6):
            await asyncio.sleep(0)
            yield swarm.request(f"echo {number}")

    async def main() -> list[bytes | None]:
        async with opened(swarm) as runner, runner.map(requests(), max_in_flight=3, ordered=True) as results:
            return [item.unwrap().stdout async for item in results]

    assert run_program(main()) == [b"%d\n" % number for number in range(6)]


def test_errors_and_upkeep(swarm: Swarm) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="use a SwarmRunner inside its block"):
            await opened(swarm).is_available()
        async with opened(swarm) as runner:
            with pytest.raises(LightRunnerError) as caught:
                await runner.run(swarm.request("true", tty=True))
            assert caught.value.code is LightRunnerErrorCode.INVALID_REQUEST
            assert await runner.prepare(swarm.request("true")) == swarm.image
            assert (await runner.reap_orphans(dry_run=True)).containers == ()
            assert (await runner.cleanup_orphan_cache()).removed == ()

    run_program(main())
