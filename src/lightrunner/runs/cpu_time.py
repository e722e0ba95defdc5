"""Watch the CPU time of a running container."""

import trio

from lightrunner.engine import EngineClient

_LEAST_PAUSE = 0.05
"""Seconds between two questions to the daemon, each of which takes it some milliseconds."""

_MARGIN = 0.02
"""Seconds. A program that computes without a break has then surely reached the limit, and one question is enough."""


async def wait_cpu_time_used(engine: EngineClient, container_id: str, seconds: float, *, cpus: float) -> None:
    """Wait until a container has used so much CPU time. After its exit, the daemon refuses or repeats the last figure.

    The daemon reads the figure from the container's control group: all processes together, ended ones included, and
    nothing that a process can do about it. It is asked only when the limit can be reached: `cpus` CPUs take at
    least ``left / cpus`` seconds for what is left.

    Raises:
        EngineError: the daemon failed or refused.
    """
    used = 0.0
    while used < seconds:
        await trio.sleep(max(_LEAST_PAUSE, (seconds - used) / cpus + _MARGIN))
        stats = await engine.container_stats(container_id)
        used = max(used, stats.cpu_stats.cpu_usage.total_usage / 1e9)
