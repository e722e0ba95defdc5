"""What a swarm's pool costs whom: claims a second, and the processor time and the traffic of a run.

    python -m bench.swarm_load [containers] [runs]

One manager, which has no containers, and two workers, all on this machine. The figures are what the plan for many tasks
in docs/swarm.md is made of.
"""

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from lightrunner import RunRequest, SwarmRunner
from lightrunner.engine import EngineClient
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine
from tools.swarm import PrivateSwarm

_TICK = os.sysconf("SC_CLK_TCK")
_MEBIBYTE = 1 << 20


class Load(NamedTuple):
    """What has been used so far: seconds of a clock and of processors, and bytes on the wires."""

    clock: float
    client: float
    manager: float
    workers: float
    manager_bytes: float

    @classmethod
    def now(cls, swarm: PrivateSwarm) -> "Load":
        """Read all counters."""
        manager, *workers = swarm.nodes
        return cls(
            time.perf_counter(),
            time.process_time(),
            _daemon_seconds(manager),
            sum(map(_daemon_seconds, workers)),
            _wire_bytes(manager),
        )

    def since(self, earlier: "Load") -> "Load":
        """Return the differences."""
        return Load(*(now - then for now, then in zip(self, earlier, strict=True)))

    def tell(self, what: str, count: int) -> None:
        """Print the figures, for one of `count`."""
        milliseconds = {name: 1000 * value / count for name, value in zip(self._fields, self, strict=True)}
        print(
            f"{what}: {count} in {self.clock:.2f} s, {count / self.clock:.1f} a second; for each one, processor time "
            f"of the client {milliseconds['client']:.1f} ms, of the manager's daemon {milliseconds['manager']:.1f} ms, "
            f"of the workers' daemons {milliseconds['workers']:.1f} ms; "
            f"to and from the manager {self.manager_bytes / count / 1024:.1f} KiB",
            flush=True,
        )


async def measure(swarm: PrivateSwarm, image: str, containers: int, runs: int) -> None:
    """Open a pool, run in it, and print what each part took."""
    request = RunRequest(image=image, entrypoint="true", network="none")
    limiter = trio.CapacityLimiter(containers)
    async with (
        SwarmRunner(
            host=swarm.manager.host,
            node_hosts=swarm.host_of,
            constraints=["node.role==worker"],
            memory="16m",
            cpus=0.01,
        ) as runner,
        EngineClient(swarm.manager.host) as manager,
    ):
        before = Load.now(swarm)
        async with runner.warm(request, size=containers) as pool:
            full = Load.now(swarm)
            full.since(before).tell("containers started and claimed", containers)

            async def one() -> None:
                async with limiter:
                    (await pool.run(request)).check()

            async with trio.open_nursery() as nursery:
                for _ in range(runs):
                    nursery.start_soon(one)
            Load.now(swarm).since(full).tell("runs, each with its replacement", runs)
            await _tell_idle(swarm)
            await _tell_list(manager, pool.service_id)


async def _tell_idle(swarm: PrivateSwarm) -> None:
    seconds = 10
    await trio.sleep(seconds)  # The last containers are claimed meanwhile.
    before = Load.now(swarm)
    await trio.sleep(seconds)
    Load.now(swarm).since(before).tell("seconds of waiting", seconds)


async def _tell_list(manager: EngineClient, service_id: str) -> None:
    """How long the list of the service's tasks takes, which a claimer asks for while it waits."""
    begin = time.perf_counter()
    tasks = await manager.task_list(filters={"service": [service_id], "desired-state": ["running"]})
    took = time.perf_counter() - begin
    size = len(msgspec.json.encode(tasks))
    print(
        f"the list of {len(tasks)} tasks: {1000 * took:.1f} ms, of which {size / 1024:.0f} KiB are used",
        flush=True,
    )


def _daemon_seconds(engine: PrivateEngine) -> float:
    """Return the processor time of an engine's daemon and its containerd, without that of containers and shims."""
    seconds = 0.0
    for process in _processes(engine):
        fields = process.rpartition(")")
        if fields[0].partition("(")[2] in {"dockerd", "containerd"}:
            user, system = fields[2].split()[11:13]
            seconds += (int(user) + int(system)) / _TICK
    return seconds


def _processes(engine: PrivateEngine) -> list[str]:
    """Return the stat lines of the processes in an engine's process namespace."""
    namespace = Path(f"/proc/{engine.pid}/ns/pid").readlink()
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns/pid").readlink() == namespace:
                found.append((folder / "stat").read_text())
        except OSError:
            continue  # It has ended meanwhile.
    return found


def _wire_bytes(engine: PrivateEngine) -> int:
    """Return the bytes that an engine's interface has received and sent."""
    for line in Path(f"/proc/{engine.pid}/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "eth0":
            fields = numbers.split()
            return int(fields[0]) + int(fields[8])
    raise LookupError("the node has no eth0")


def main(arguments: list[str]) -> None:
    """Start a swarm, and measure."""
    containers, runs = (int(arguments[at]) if len(arguments) > at else default for at, default in ((0, 24), (1, 200)))
    with PrivateSwarm(3, config={"no-new-privileges": True}) as swarm:
        trio.run(measure, swarm, swarm.load(ensure_busybox), containers, runs)


if __name__ == "__main__":
    main(sys.argv[1:])
