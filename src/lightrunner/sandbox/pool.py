"""Warm sandboxes: started containers whose process 1 waits for its first command."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from lightrunner.errors import invalid_request
from lightrunner.pool import PoolSize, SingleUsePool
from lightrunner.rules.limits import CLEANUP_TIMEOUT, WARM_REFILL_DELAY

from .box import Sandbox
from .launch import Launcher, ReadyContainer
from .lifecycle import open_sandbox
from .order import check_ports


class SandboxPool:
    """Gives out sandboxes that have started already. `DockerRunner.warm_sandboxes` creates it.

    Each sandbox is used once, and is like a cold one: same image, seed, network, workdir, environment and limits.
    """

    def __init__(
        self, launcher: Launcher, size: PoolSize, *, admit: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self._launcher = launcher
        self._admit = admit
        self._pool: SingleUsePool[ReadyContainer] = SingleUsePool(
            launcher.launch, discard, _is_waiting, size=size, delay=WARM_REFILL_DELAY
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["SandboxPool"]:
        """Open the pool: full at the block's beginning, empty at its end."""
        async with self._pool.open():
            yield self

    @asynccontextmanager
    async def sandbox(self, *, expose: Sequence[int] = ()) -> AsyncGenerator[Sandbox]:
        """Take a sandbox: ``async with pool.sandbox() as box``. If none is ready, wait for one.

        Args:
            expose: as for `DockerRunner.sandbox`.

        Raises:
            LightRunnerError: as `DockerRunner.sandbox`; RUN_ABORTED: the pool is closed.
        """
        with invalid_request():
            ports = check_ports("expose", expose)
        timeout = self._launcher.plan.timeout
        async with self._admit(), open_sandbox(self._pool.take, self._return, timeout=timeout, expose=ports) as box:
            yield box

    async def _return(self, ready: ReadyContainer) -> None:
        await ready.preparation.remove()
        self._pool.discard_used(ready)


async def discard(ready: ReadyContainer) -> None:
    """Remove a sandbox's container. Shielded and bounded."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
        await ready.streams.aclose()
    await ready.preparation.remove()


def _is_waiting(ready: ReadyContainer) -> bool:
    return not ready.attached.is_readable()  # Readable means ended: it says nothing unasked.
