"""Watch the CPU time of a running container."""

import trio

from lightrunner.engine import EngineClient, EngineResponseError

_LEAST_PAUSE = 0.05
"""Seconds between two questions to the daemon, each of which takes it some milliseconds."""

_MARGIN = 0.02
"""Seconds. A program that computes without a break has then surely reached the limit, and one question is enough."""


async def wait_cpu_time_used(engine: EngineClient, container_id: str, seconds: float, *, cpus: float) -> None:
    """Wait until a container has used so much CPU time; for ever if it exits before that.

    The daemon reads the figure from the container's control group: all processes together, ended ones included, and
    nothing that a process can do about it. It is asked only when the limit can be reached: `cpus` CPUs take at
    least ``left / cpus`` seconds for what is left.

    Raises:
        EngineError: the daemon failed, other than by refusing.
    """
    used = 0.0
    while used < seconds:
        await trio.sleep(max(_LEAST_PAUSE, (seconds - used) / cpus + _MARGIN))
        try:
            stats = await engine.container_stats(container_id)
        except EngineResponseError:
            await trio.sleep_forever()  # It has exited.
        used = max(used, stats.cpu_stats.cpu_usage.total_usage / 1e9)
