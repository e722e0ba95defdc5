"""`Sandbox` and `SandboxPool`: containers for more than one command."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from lightrunner.results import ExtractResult, LogCallback, OutputCallback, RunResult
from lightrunner.rules.limits import DEFAULT_READ_BYTES
from lightrunner.sandbox.box import Sandbox as TrioSandbox
from lightrunner.sandbox.expose import ExposedPort
from lightrunner.sandbox.pool import SandboxPool as TrioSandboxPool
from lightrunner.sandbox.process import SandboxProcess as TrioProcess

from .bridge import Bridge
from .callbacks import Callbacks
from .process import SandboxProcess

_NO_ENV: Mapping[str, str] = {}


class Sandbox:
    """A container that lives for more than one command. `DockerRunner.sandbox` creates it.

    Its methods are those of `lightrunner.Sandbox`, for any task of the event loop. Cancelling a call ends what it does:
    `asyncio.CancelledError` is raised once every process of the command has ended.

    Attributes:
        id: the sandbox's id; its container and volume are named ``light-runner-<id>``.
        container_id: the daemon's id of the container.
        exposed: the addresses of the ports that were asked for.
    """

    def __init__(self, bridge: Bridge, box: TrioSandbox) -> None:
        self.id = box.id
        self.container_id = box.container_id
        self.exposed: dict[int, ExposedPort] = dict(box.exposed)
        self._bridge = bridge
        self._box = box
        self._tasks: set[asyncio.Task[RunResult]] = set()

    def __repr__(self) -> str:
        return repr(self._box)

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        input: Any = None,  # noqa: A002 - as in RunRequest
        env: Mapping[str, str] = _NO_ENV,
        workdir: str | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in lightrunner.Sandbox.exec
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        capture_output: bool = True,
        background: bool = False,
    ) -> RunResult:
        """Run a command, and wait for its end, as `lightrunner.Sandbox.exec` does.

        When this returns, raises or is cancelled, every process that the command started has ended. The callbacks are
        called in the event loop's thread and may be async.
        """
        callbacks = Callbacks(self._bridge, on_log=on_log, on_output=on_output)
        run = partial(
            callbacks.call,
            self._box.exec,
            command,
            input=input,
            env=env,
            workdir=workdir,
            user=user,
            timeout=timeout,
            capture_output=capture_output,
            background=background,
        )
        return await self._bridge.call(run)

    async def start(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] = _NO_ENV,
        workdir: str | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in exec
        terminal: tuple[int, int] | None = None,
    ) -> SandboxProcess:
        """Run a command that the caller talks to. Return once it has started.

        Arguments and errors are those of `lightrunner.Sandbox.start`. The process belongs to the sandbox's block.
        """

        def start(status: trio.TaskStatus[TrioProcess]) -> Awaitable[RunResult]:
            return self._box.start(
                command,
                env=env,
                workdir=workdir,
                user=user,
                timeout=timeout,
                terminal=terminal,
                task_status=status,
            )

        process, task = await self._bridge.start(start)
        self._tasks.add(task)  # The loop itself keeps weak references alone.
        task.add_done_callback(self._ended)
        return SandboxProcess(self._bridge, process, task)

    async def read(
        self, path: str | os.PathLike[str], *, user: str | None = None, max_bytes: int = DEFAULT_READ_BYTES
    ) -> bytes:
        """Read a file, as `lightrunner.Sandbox.read` does."""
        return await self._bridge.call(partial(self._box.read, path, user=user, max_bytes=max_bytes))

    async def write(
        self, path: str | os.PathLike[str], data: bytes | bytearray | memoryview, *, user: str | None = None
    ) -> None:
        """Write a file, and make the folders that lead to it, as `lightrunner.Sandbox.write` does."""
        await self._bridge.call(partial(self._box.write, path, data, user=user))

    async def upload(
        self,
        folder: str | os.PathLike[str],
        to: str | os.PathLike[str] = ".",
        *,
        ignore: Sequence[str] = (),
        user: str | None = None,
    ) -> None:
        """Copy a host folder's contents into a folder of the sandbox, as `lightrunner.Sandbox.upload` does."""
        await self._bridge.call(partial(self._box.upload, folder, to, ignore=ignore, user=user))

    async def download(
        self, from_: str | os.PathLike[str], to: str | os.PathLike[str], *, user: str | None = None
    ) -> ExtractResult:
        """Copy a file or a folder of the sandbox to the host, as `lightrunner.Sandbox.download` does."""
        return await self._bridge.call(partial(self._box.download, from_, to, user=user))

    async def expose(self, port: int) -> ExposedPort:
        """Make a TCP port of the sandbox reachable on this host's loopback device.

        As `lightrunner.Sandbox.expose`; it takes ``await asyncio.open_connection(*address)``.
        """
        self.exposed[port] = address = await self._bridge.call(self._box.expose, port)
        return address

    async def snapshot(self, name: str) -> str:
        """Save the sandbox's files as an image, as `lightrunner.Sandbox.snapshot` does. Return its reference."""
        return await self._bridge.call(self._box.snapshot, name)

    async def wait_closed(self) -> str:
        """Wait until the sandbox's end, as `lightrunner.Sandbox.wait_closed` does. Return the reason."""
        return await self._bridge.call(self._box.wait_closed)

    def _ended(self, task: asyncio.Task[RunResult]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Retrieved: `SandboxProcess.wait` tells of it.


class SandboxPool:
    """Gives out sandboxes that have started already. `DockerRunner.warm_sandboxes` creates it."""

    def __init__(self, bridge: Bridge, pool: TrioSandboxPool) -> None:
        self._bridge = bridge
        self._pool = pool

    @asynccontextmanager
    async def sandbox(self, *, expose: Sequence[int] = ()) -> AsyncGenerator[Sandbox]:
        """Take a sandbox: ``async with pool.sandbox() as box``. If none is ready, wait for one.

        As `lightrunner.SandboxPool.sandbox`.
        """
        async with self._bridge.hold(self._pool.sandbox(expose=expose)) as box:
            yield Sandbox(self._bridge, box)
