"""A sandbox for code in another thread, such as hypothesis' state machines, which are synchronous."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from lightrunner import Sandbox, SandboxProcess

T = TypeVar("T")


class TrioGuest:
    """Calls a sandbox from a thread of trio's.

    Attributes:
        box: the sandbox.
        nursery: where its processes live.
    """

    box: Sandbox
    nursery: trio.Nursery

    def __init__(self) -> None:
        self._processes: list[SandboxProcess] = []

    def call(self, async_fn: Callable[[], Awaitable[T]]) -> T:
        """Call an async function in trio's thread."""
        return trio.from_thread.run(async_fn)

    def start_process(self) -> None:
        """Start a process that sleeps."""

        async def start() -> None:
            self._processes.append(await self.nursery.start(self.box.start, "sleep 77"))

        self.call(start)

    def kill_process(self) -> None:
        """Kill the one that was started first, and wait for its end."""
        process = self._processes.pop(0)

        async def kill() -> None:
            await process.kill()
            assert (await process.wait()).cancelled

        self.call(kill)

    def end_processes(self) -> None:
        """Kill all of them."""
        while self._processes:
            self.kill_process()
