"""The life of a sandbox: its container, the task that reads its connection, its time, and its removal."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from lightrunner.engine import EngineError
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.rules.limits import CLEANUP_TIMEOUT

from .box import Sandbox
from .context import SandboxContext
from .launch import ReadyContainer

_INSPECT_TIMEOUT = 5.0


@asynccontextmanager
async def open_sandbox(
    obtain: Callable[[], Awaitable[ReadyContainer]],
    discard: Callable[[ReadyContainer], Awaitable[None]],
    *,
    timeout: float,  # noqa: ASYNC109 - of the sandbox, not of a call
    expose: Sequence[int],
) -> AsyncGenerator[Sandbox]:
    """Obtain a container, yield the sandbox, and discard the container.

    The container lives in a child task that Ctrl-C does not interrupt; the block's body may be in the main task.
    """
    life = _Life(obtain, discard, timeout, expose)
    async with open_bare_nursery() as nursery:
        box = await nursery.start(life.live)
        try:
            yield box
        finally:
            life.end()


class _Life:
    def __init__(
        self,
        obtain: Callable[[], Awaitable[ReadyContainer]],
        discard: Callable[[ReadyContainer], Awaitable[None]],
        timeout: float,
        expose: Sequence[int],
    ) -> None:
        self._obtain = obtain
        self._discard = discard
        self._timeout = timeout
        self._expose = expose
        self._ended = trio.Event()

    def end(self) -> None:
        """End the life: the block is over."""
        self._ended.set()

    @trio.lowlevel.enable_ki_protection
    async def live(self, *, task_status: trio.TaskStatus[Sandbox]) -> None:
        ready = await self._obtain()
        session = ready.context.session
        try:
            async with ready.streams.pop_all(), open_bare_nursery() as nursery:
                nursery.start_soon(protected, session.read, _explain(ready.context))
                nursery.start_soon(protected, self._watch, ready.context)
                box = Sandbox(ready.context, ready.surroundings, nursery)
                for port in self._expose:
                    await box.expose(port)
                task_status.started(box)
                await self._ended.wait()
                session.close("the sandbox's block has ended")
                nursery.cancel_scope.cancel()
        finally:
            session.close("the sandbox's block has ended")
            await self._discard(ready)

    async def _watch(self, context: SandboxContext) -> None:
        """Kill the container at its time limit, or once the sandbox was lost."""
        with trio.move_on_after(self._timeout):
            await context.session.wait_closed()
        if not math.isinf(self._timeout):
            context.session.close(f"the sandbox's time limit of {self._timeout:g} s has passed")
        with trio.move_on_after(CLEANUP_TIMEOUT):
            try:
                await context.engine.container_kill(context.container_id)
            except EngineError:
                return  # It has exited, or the daemon is gone: the removal at the block's end tells.


def _explain(context: SandboxContext) -> Callable[[], Awaitable[str]]:
    """Say why process 1 has ended."""

    async def explain() -> str:
        with trio.move_on_after(_INSPECT_TIMEOUT):
            try:
                state = (await context.engine.container_inspect(context.container_id)).state
            except EngineError as error:
                return f"the sandbox's container is gone: {error}"
            if state.oom_killed:
                return "the kernel killed the sandbox for its memory limit"
            return f"the sandbox's process 1 has exited with {state.exit_code}"
        return "the sandbox's process 1 has ended"

    return explain
