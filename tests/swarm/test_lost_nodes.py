"""Nodes that are drained or killed, and a leader that goes, while runs are under way."""

import os
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from lightrunner import LightRunnerError, LightRunnerErrorCode, LightRunnerWarning, LogLine, RunRequest, RunResult
from lightrunner.engine import EngineClient
from tests.swarm.conftest import Swarm
from tools.images import ensure_busybox
from tools.raw_engine import RawEngine, RawEngineError
from tools.swarm import PrivateSwarm

pytestmark = [pytest.mark.private_engine, pytest.mark.node_loss]

ON_NODE3 = ["node.hostname==node3"]
RUNS = int(os.environ.get("LIGHTRUNNER_FAN_OUT", "60"))
"""Of the fan-out. A thousand take minutes."""


async def set_availability(swarm: Swarm, hostname: str, availability: str) -> None:
    async def update(engine: EngineClient) -> None:
        node = await engine.node_inspect(hostname)
        node.spec.availability = availability
        await engine.node_update(node.id, node.version.index, node.spec)

    async with swarm.runner() as runner:
        await runner._cluster.managers.call(update)  # pyright: ignore[reportPrivateUsage]


@asynccontextmanager
async def restored(swarm: Swarm, number: int) -> AsyncGenerator[None]:
    """Start a node that the block has crashed, and wait until the swarm has it back, and it has no containers left."""
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(swarm.private.nodes[number - 1].crash)
            # In this thread: the engine's processes end with the thread that starts them, and trio's end when idle.
            swarm.private.nodes[number - 1].start()
            await _wait_ready(swarm)
            async with swarm.runner() as runner:
                await runner.reap_orphans()
            raw = swarm.raw[number - 1]
            with trio.fail_after(20):
                while containers := raw.containers():
                    for one in containers:
                        _remove(raw, one["Id"])
                    await trio.sleep(0.1)
            for one in raw.volumes():
                raw.remove_volume(one["Name"])


def _remove(raw: RawEngine, container: str) -> None:
    """Remove a container, unless Swarm is at it."""
    try:
        raw.remove_container(container)
    except RawEngineError as error:
        if error.status != 409:
            raise


async def _wait_ready(swarm: Swarm) -> None:
    with trio.fail_after(60):
        async with swarm.runner() as runner:
            while True:
                managers = runner._cluster.managers  # pyright: ignore[reportPrivateUsage]
                nodes = await managers.call(lambda manager: manager.node_list())
                states = [node.manager_status for node in nodes if node.status.state == "ready"]
                if [one.reachability for one in states if one is not None] == ["reachable"] * 3:
                    return
                await trio.sleep(0.2)


async def test_a_drained_nodes_containers_move(swarm: Swarm) -> None:
    request = swarm.request("true")
    async with swarm.runner() as runner, runner.warm(request, size=6) as pool:
        await set_availability(swarm, "node3", "drain")
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(12):
                    nursery.start_soon(pool.run, request)
            assert not swarm.raw[2].containers(all=False)
        finally:
            await set_availability(swarm, "node3", "active")


async def test_a_run_whose_node_is_lost(swarm: Swarm) -> None:
    """It ends with an error that says so, and is repeated only if that was asked for."""
    lines = list[str]()
    started = trio.Event()

    def note(line: LogLine) -> None:
        lines.append(line.text)
        started.set()

    async def crash() -> None:
        await started.wait()
        await trio.to_thread.run_sync(swarm.private.nodes[2].crash)

    request = swarm.request("hostname; exec sleep 100")
    async with restored(swarm, 3), swarm.runner(constraints=ON_NODE3) as runner, trio.open_nursery() as nursery:
        nursery.start_soon(crash)
        with pytest.raises(LightRunnerError, match="node3") as raised:
            await runner.run(request, on_log=note)
    assert raised.value.code is LightRunnerErrorCode.NODE_LOST
    assert len(lines) == 1


async def test_a_lost_run_is_repeated_on_another_node(swarm: Swarm) -> None:
    lines = list[str]()

    async def note(line: LogLine) -> None:
        lines.append(line.text)
        if len(lines) == 1:
            number = next(at for at, raw in enumerate(swarm.raw) if raw.containers(all=False))
            assert number == 2
            await trio.to_thread.run_sync(swarm.private.nodes[number].crash)

    request = swarm.request("hostname; sleep 2")
    async with restored(swarm, 3):
        for other in ("node1", "node2"):
            await set_availability(swarm, other, "pause")
        try:
            async with swarm.runner() as runner, trio.open_nursery() as nursery:
                nursery.start_soon(_activate_others_later, swarm, lines)
                with pytest.warns(LightRunnerWarning, match="node3"):
                    result = await runner.run(request, on_log=note, retry_lost=True)
        finally:
            for other in ("node1", "node2"):
                await set_availability(swarm, other, "active")
    assert result.success
    assert len(set(lines)) == 2


async def _activate_others_later(swarm: Swarm, lines: list[str]) -> None:
    while not lines:  # noqa: ASYNC110  # a callback's list
        await trio.sleep(0.05)
    for other in ("node1", "node2"):
        await set_availability(swarm, other, "active")


async def test_a_fan_out_loses_nothing_and_does_nothing_twice(swarm: Swarm) -> None:
    """A node is killed midway. The ledger: each run tells its number once, and each has a result or NODE_LOST."""
    told = Counter[int]()
    results = dict[int, RunResult | LightRunnerError]()
    template = swarm.request("true")

    def request(number: int) -> RunRequest:
        return swarm.request(f"echo {number}; sleep 0.1")

    async def one(number: int, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            try:
                results[number] = await pool.run(request(number), on_log=lambda line: told.update([int(line.text)]))
            except LightRunnerError as error:
                results[number] = error
        if len(results) == RUNS // 3:
            await trio.to_thread.run_sync(swarm.private.nodes[2].crash)

    limiter = trio.CapacityLimiter(12)
    async with (
        restored(swarm, 3),
        swarm.runner() as runner,
        runner.warm(template, size=9) as pool,
        trio.open_nursery() as nursery,
    ):
        for number in range(RUNS):
            nursery.start_soon(one, number, limiter)
    assert sorted(results) == list(range(RUNS))
    lost = {number for number, result in results.items() if isinstance(result, LightRunnerError)}
    assert {results[number].code for number in lost} <= {LightRunnerErrorCode.NODE_LOST}  # type: ignore[union-attr]
    assert len(lost) <= 3
    assert set(told.values()) == {1}
    assert set(told) >= set(range(RUNS)) - lost
    assert all(isinstance(results[number], RunResult) and results[number].success for number in set(results) - lost)  # type: ignore[union-attr]


async def test_a_map_of_cold_runs_over_a_node_that_is_lost(swarm: Swarm) -> None:
    """Each request has one outcome, its own output or NODE_LOST. What had not begun is run on another node."""
    seen = dict[int, bytes | LightRunnerErrorCode]()
    requests = (swarm.request(f"echo {number}; sleep 0.5") for number in range(24))
    async with (
        restored(swarm, 3),
        swarm.runner() as runner,
        runner.map(requests, max_in_flight=6, ordered=False, retries=2) as results,
    ):
        async for item in results:
            assert item.index not in seen
            seen[item.index] = item.error.code if item.error is not None else item.unwrap().stdout or b""
            if len(seen) == 8:
                await trio.to_thread.run_sync(swarm.private.nodes[2].crash)
    lost = {number for number, outcome in seen.items() if outcome == LightRunnerErrorCode.NODE_LOST}
    assert len(lost) <= 6
    assert {number: outcome for number, outcome in seen.items() if number not in lost} == {
        number: b"%d\n" % number for number in range(24) if number not in lost
    }


async def test_the_leader_goes_in_the_middle() -> None:
    """Runs on other nodes go on, and so does the pool, with the managers that are left.

    On a swarm of its own: managers that were killed and came back hold connections that are half dead for a while.
    """
    with PrivateSwarm(managers=3, config={"no-new-privileges": True}) as private:
        await _lose_leader(Swarm(private, private.load(ensure_busybox)))


async def _lose_leader(swarm: Swarm) -> None:
    request = swarm.request("sleep 0.3; hostname")
    async with EngineClient(swarm.private.manager.host) as engine:
        nodes = await engine.node_list()
    (leader,) = (n.description.hostname for n in nodes if n.manager_status is not None and n.manager_status.leader)
    seen = list[bytes | None]()

    async def one() -> None:
        seen.append((await pool.run(request)).stdout)

    async with swarm.runner(constraints=[f"node.hostname!={leader}"]) as runner:
        async with runner.warm(request, size=3) as pool, trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.to_thread.run_sync(swarm.private.nodes[int(leader[-1]) - 1].crash)
            for _ in range(8):
                nursery.start_soon(one)
        assert (await runner.run(request)).success
    assert len(set(seen)) == 9
