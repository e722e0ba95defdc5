"""Warm pools on a swarm: who gets which container, where, and what it is."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from lightrunner import ExtractSpec, LightRunnerError, LightRunnerErrorCode, LogLine, RunResult
from lightrunner.engine import EngineClient
from lightrunner.results import ReapResult
from tests.swarm.conftest import LIMITS, Swarm
from tools.images import ensure_busybox
from tools.swarm import PrivateSwarm

pytestmark = pytest.mark.private_engine

ROOT = Path(__file__).parents[2]


async def where(swarm: Swarm, service_id: str) -> Counter[str]:
    """Count a service's running containers by node."""
    async with EngineClient(swarm.private.manager.host) as engine:
        nodes = {node.id: node.description.hostname for node in await engine.node_list()}
        tasks = await engine.task_list(filters={"service": [service_id], "desired-state": ["running"]})
        return Counter(nodes[task.node_id] for task in tasks if task.status.state == "running")


async def test_a_pool_is_spread_and_refilled(swarm: Swarm) -> None:
    request = swarm.request("hostname")
    seen = list[bytes | None]()
    async with swarm.runner() as runner, runner.warm(request, size=6) as pool:
        assert await where(swarm, pool.service_id) == {"node1": 2, "node2": 2, "node3": 2}
        async with trio.open_nursery() as nursery:

            async def one() -> None:
                seen.append((await pool.run(request)).stdout)

            for _ in range(15):
                nursery.start_soon(one)
    assert len(set(seen)) == 15


async def test_the_walls_inside(swarm: Swarm) -> None:
    script = (
        "grep -E 'NoNewPrivs|CapBnd' /proc/self/status; ls /sys/class/net; "
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes "
        "/sys/fs/cgroup/pids/pids.max; touch /x"
    )
    request = swarm.request(script)
    async with swarm.runner(read_only=True, pids=33) as runner, runner.warm(request, size=1) as pool:
        result = await pool.run(request)
    # Docker's default set, without those that lightrunner drops.
    capabilities = 0xA80425FB & ~sum(1 << number for number in (8, 13, 18, 27, 29, 31))
    said = (result.stdout or b"").decode().split()
    assert said[:4] == ["CapBnd:", f"{capabilities:016x}", "NoNewPrivs:", "1"]
    assert said[4:] == ["lo", str(64 << 20), str(64 << 20), "33"]
    assert b"Read-only file system" in (result.stderr or b"")


async def test_two_pools_on_the_isolated_network_cannot_talk(swarm: Swarm) -> None:
    server = swarm.request("hostname -i; echo hello | nc -l -p 7000 -w 3", network=None, timeout=20.0)
    constraint = ["node.hostname==node2"]
    async with swarm.runner(constraints=constraint) as runner, runner.warm(server, size=2) as pool:
        address = trio.Event()
        lines = list[str]()

        def note(line: LogLine) -> None:
            lines.append(line.text)
            address.set()

        async def serve() -> None:
            await pool.run(server, on_log=note)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await address.wait()
            asking = swarm.request(f"nc -w 2 {lines[0]} 7000 </dev/null", network=None)
            result = await pool.run(asking)
            nursery.cancel_scope.cancel()
    assert result.exit_code != 0
    assert result.stdout == b""


async def test_files_and_another_user(swarm: Swarm, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("from the host")
    request = swarm.request(
        "id -u; cat a.txt; echo made >made.txt", user="app", dir=source, extract=[ExtractSpec("made.txt", tmp_path)]
    )
    async with swarm.runner() as runner, runner.warm(request, size=1) as pool:
        result = await pool.run(request)
    assert (result.exit_code, result.stdout) == (0, b"1000\nfrom the host")
    assert (tmp_path / "made.txt").read_text() == "made\n"


async def test_a_handle_from_a_pool(swarm: Swarm) -> None:
    request = swarm.request("echo ready; exec sleep 100")
    async with swarm.runner() as runner, runner.warm(request, size=1) as pool, trio.open_nursery() as nursery:
        execution = await nursery.start(pool.run, request)
        execution.cancel()
        result: RunResult = await execution.wait()
    assert result.cancelled


async def test_claimers_in_several_processes_get_different_containers(swarm: Swarm) -> None:
    """Three processes and the pool's owner want 12 containers of one service: each goes to one of them."""
    template = swarm.request("true")
    program = [sys.executable, str(Path(__file__).with_name("claimer.py"))]
    async with swarm.runner() as runner, runner.warm(template, size=1, shared=11) as pool:
        given = json.dumps([swarm.image, swarm.private.hosts, LIMITS])
        command = [*program, pool.service_id, "6", given]
        claimers = [
            subprocess.Popen(  # noqa: ASYNC220  # it starts at once
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            for _ in range(3)
        ]
        try:
            claimed = [await trio.to_thread.run_sync(told, one) for one in claimers]
        finally:
            for one in claimers:
                await trio.to_thread.run_sync(one.communicate, "\n")
    everything = [container for containers in claimed for container in containers]
    assert len(everything) == len(set(everything)) == 11
    assert [one.returncode for one in claimers] == [0, 0, 0]


def told(claimer: "subprocess.Popen[str]") -> list[str]:
    assert claimer.stdout is not None
    containers: list[str] = json.loads(claimer.stdout.readline())
    return containers


async def test_another_runner_joins_a_pool(swarm: Swarm) -> None:
    request = swarm.request("hostname")
    async with (
        swarm.runner() as owner,
        owner.warm(request, size=1, shared=1) as pool,
        swarm.runner() as guest,
        guest.join(pool.service_id, request) as joined,
    ):
        results = {(await one.run(request)).stdout for one in (pool, joined, pool, joined)}
    assert len(results) == 4


async def test_what_a_dead_process_leaves_is_reaped(swarm: Swarm) -> None:
    """A killed process leaves its service, and the mark of a claim on another's."""
    template = swarm.request("true")
    script = (
        "import json, os, sys, trio\n"
        "from lightrunner import RunRequest, SwarmRunner\n"
        "service, (image, hosts, limits) = sys.argv[1], json.loads(sys.argv[2])\n"
        "async def main():\n"
        "    host = next(iter(hosts.values()))\n"
        "    async with SwarmRunner(host=host, node_hosts=lambda n: hosts[n.description.hostname], **limits) as r:\n"
        "        t = RunRequest(image=image, network='none')\n"
        "        async with r.warm(t, size=1), r.join(service, t):\n"
        "            os.kill(os.getpid(), 9)\n"
        "trio.run(main)\n"
    )
    async with swarm.runner() as runner, runner.warm(template, size=1, shared=1) as pool:
        given = json.dumps([swarm.image, swarm.private.hosts, LIMITS])
        command = [sys.executable, "-c", script, pool.service_id, given]
        await trio.run_process(command, check=False)
        listed = await runner.reap_orphans(dry_run=True)
        assert (len(listed.containers), len(listed.volumes)) == (1, 2)  # A claim on its own service, and the other.
        await runner.reap_orphans()
        assert await runner.reap_orphans() == ReapResult((), ())
        async with runner.join(pool.service_id, template) as joined:  # Swarm has replaced the claimed one.
            assert (await joined.run(template)).success


async def refused(swarm: Swarm, request: Any, size: int = 1, **options: Any) -> LightRunnerError:
    async with swarm.runner(**options) as runner:
        with pytest.raises(LightRunnerError) as raised:
            async with runner.warm(request, size=size):
                pass
    return raised.value


async def test_what_swarm_cannot_start(swarm: Swarm) -> None:
    request = swarm.request("true")
    error = await refused(swarm, request, constraints=["node.labels.gpu==yes"])
    assert (error.code, "no suitable node" in error.message) == (LightRunnerErrorCode.CONTAINER_START_FAILED, True)
    error = await refused(swarm, request, size=7, cpus=1)
    assert "insufficient resources" in error.message
    error = await refused(swarm, type(request)(image="lightrunner-test/no-such:1", network="none"))
    assert (error.code, "no-such" in error.message) == (LightRunnerErrorCode.CONTAINER_START_FAILED, True)


async def test_a_node_whose_daemon_cannot_be_reached(swarm: Swarm) -> None:
    error = await refused(swarm, swarm.request("true"), node_hosts="unix:///no/such/{hostname}.sock")
    assert error.code is LightRunnerErrorCode.DOCKER_UNREACHABLE
    await swarm.wait_clean()


async def test_walls_that_swarm_does_not_build_are_missed() -> None:
    """Before API 1.44 a service cannot have no-new-privileges: the daemon drops it without a word."""
    with PrivateSwarm(1) as private:
        alone = Swarm(private, private.load(ensure_busybox))
        if alone.raw[0].version()["ApiVersion"] >= "1.44":
            script = "grep NoNewPrivs /proc/self/status"
            async with alone.runner() as runner:
                assert (await runner.run(alone.request(script))).stdout == b"NoNewPrivs:\t1\n"
        else:
            error = await refused(alone, alone.request("true"))
            assert error.code is LightRunnerErrorCode.CONTAINER_START_FAILED
            assert "no_new_privileges" in error.message
        async with alone.runner(no_new_privileges=False) as runner:
            assert (await runner.run(alone.request("true"))).success
        assert not alone.left()
