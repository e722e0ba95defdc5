"""Containers: one short method per operation, each named after its operation id."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import quote

from . import wire
from .calls import TAR, Calls, Filters, Query, filters_text
from .streams import AttachedStream, OutputStream
from .transport import Answer, Response

_PATH_STAT = "x-docker-container-path-stat"

_MAX_EXIT_BYTES = 64 * 1024
"""What a wait answers has 40, or the daemon's sentence of why it could not."""

WaitCondition = Literal["not-running", "next-exit", "removed"]


class PendingExit:
    """A wait that the daemon has accepted. `result` waits for it."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def result(self) -> wire.ContainerWaitResponse:
        """The exit code, as soon as the condition holds."""
        return wire.decode(wire.CONTAINER_WAIT, "container_wait", await self._response.read_up_to(_MAX_EXIT_BYTES))


class ArchiveStream:
    """A tar archive that the daemon sends; `stat` is of the path that was asked for."""

    def __init__(self, response: Answer, stat: wire.PathStat) -> None:
        self._response = response
        self.stat = stat

    async def receive_some(self) -> bytes:
        """The archive's next bytes; none at its end."""
        return await self._response.receive_some()

    async def drain(self, consume: Callable[[Sequence[memoryview]], bool | None]) -> None:
        """Hand the archive to `consume`, in order and in pieces, which a worker thread reads as they come.

        Faster than `receive_some` for what goes to a file. Nothing more is read once `consume` has returned True: a
        daemon ends its answer some 40 ms behind the archive (20.10), when it has unmounted the container. What
        `consume` raises comes out here; a cancellation takes effect behind the call that is under way.
        """
        await self._response.drain(consume)


class Containers:
    """The container operations of `EngineClient`."""

    _calls: Calls

    async def container_create(
        self, body: wire.ContainerCreateRequest, *, name: str | None = None, platform: str | None = None
    ) -> wire.ContainerCreateResponse:
        """Create a container. A volume that its mounts name is made with it.

        It is not a transaction: choose `name` and labels beforehand, so that a lost answer can be cleaned up.

        Raises:
            EngineNotFound: the image is not here.
        """
        query = {"name": name, "platform": platform}
        reply = await self._calls.call("container_create", "POST", "/containers/create", query=query, json=body)
        return wire.decode(wire.CONTAINER_CREATE, "container_create", reply)

    async def container_inspect(self, container: str) -> wire.ContainerInspectResponse:
        """A container's state and configuration. It waits while an archive of the container is transferred."""
        reply = await self._calls.call("container_inspect", "GET", f"/containers/{quote(container, safe='')}/json")
        return wire.decode(wire.CONTAINER_INSPECT, "container_inspect", reply)

    async def container_list(
        self,
        *,
        all: bool = False,  # noqa: A002  # the API's name
        filters: Filters | None = None,
    ) -> list[wire.ContainerSummary]:
        """Running containers, or all of them."""
        query = {"all": all, "filters": filters_text(filters)}
        reply = await self._calls.call("container_list", "GET", "/containers/json", query=query)
        return wire.decode(wire.CONTAINER_LIST, "container_list", reply)

    async def container_start(self, container: str) -> None:
        """Start a created container; a running one stays as it is."""
        await self._calls.call("container_start", "POST", f"/containers/{quote(container, safe='')}/start")

    @asynccontextmanager
    async def container_wait(
        self, container: str, *, condition: WaitCondition = "not-running"
    ) -> AsyncGenerator[PendingExit]:
        """Wait for a container; the block is entered as soon as the daemon has registered the wait.

        For a container that is yet to be started the order is: attach, wait for ``next-exit``, then start.
        ``not-running`` returns at once for a created container, and ``next-exit`` blocks for ever on one that has
        exited.
        """
        path = f"/containers/{quote(container, safe='')}/wait"
        async with self._calls.stream("container_wait", "POST", path, query={"condition": condition}) as response:
            yield PendingExit(response)

    @asynccontextmanager
    async def container_attach(
        self, container: str, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> AsyncGenerator[AttachedStream]:
        """Attach to a container's streams. Attach before the start, or output is lost.

        Read to the end, and without long pauses: 2 s after the exit the daemon drops what was not read.
        """
        path = f"/containers/{quote(container, safe='')}/attach"
        query = {"stream": True, "stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs}
        async with self._calls.upgrade("container_attach", path, query=query) as connection:
            yield AttachedStream(connection)

    @asynccontextmanager
    async def container_logs(
        self, container: str, *, follow: bool = False, stdout: bool = True, stderr: bool = True
    ) -> AsyncGenerator[OutputStream]:
        """A container's output from its start, and what comes with `follow`."""
        path = f"/containers/{quote(container, safe='')}/logs"
        query = {"follow": follow, "stdout": stdout, "stderr": stderr}
        async with self._calls.stream("container_logs", "GET", path, query=query) as response:
            yield OutputStream(response)

    async def container_kill(self, container: str, *, signal: str = "SIGKILL") -> None:
        """Send a signal. SIGKILL reaches a paused container too.

        Raises:
            EngineConflict: it does not run.
        """
        path = f"/containers/{quote(container, safe='')}/kill"
        await self._calls.call("container_kill", "POST", path, query={"signal": signal})

    async def container_stop(self, container: str, *, timeout: int | None = None) -> None:  # noqa: ASYNC109  # the API's
        """Stop signal, `timeout` seconds of grace, SIGKILL; a stopped container stays as it is."""
        await self._calls.call(
            "container_stop", "POST", f"/containers/{quote(container, safe='')}/stop", query={"t": timeout}
        )

    async def container_pause(self, container: str) -> None:
        """Freeze its processes.

        Raises:
            EngineConflict: it is paused already, or does not run.
        """
        await self._calls.call("container_pause", "POST", f"/containers/{quote(container, safe='')}/pause")

    async def container_unpause(self, container: str) -> None:
        """Thaw its processes. (20.10 refuses with 500 where it is not paused.)"""
        await self._calls.call("container_unpause", "POST", f"/containers/{quote(container, safe='')}/unpause")

    async def container_delete(self, container: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; with `force` a running one too, with `volumes` its anonymous volumes.

        Raises:
            EngineConflict: it runs, or another removal is in progress.
        """
        query = {"force": force, "v": volumes}
        await self._calls.call("container_delete", "DELETE", f"/containers/{quote(container, safe='')}", query=query)

    async def container_archive_info(self, container: str, path: str) -> wire.PathStat:
        """What is at a path in a container, which may be created, running or exited.

        Raises:
            EngineNotFound: nothing is there.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        stat = await self._calls.head("container_archive_info", target, _PATH_STAT, query={"path": path})
        return wire.decode_path_stat("container_archive_info", stat)

    @asynccontextmanager
    async def container_archive(
        self, container: str, path: str, *, chunked: bool = True
    ) -> AsyncGenerator[ArchiveStream]:
        """A path in a container as a tar archive. The daemon holds the container's lock meanwhile.

        Args:
            container: its id or name.
            path: where in it, absolute.
            chunked: False asks over HTTP/1.0, which takes a tenth less time. A daemon that dies then ends the archive
                as if it were whole: it is for a reader that looks for the archive's own end mark.

        Raises:
            EngineNotFound: nothing is there.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        query = {"path": path}
        async with (
            self._calls.stream("container_archive", "GET", target, query=query)
            if chunked
            else self._calls.download("container_archive", target, query=query)
        ) as response:
            yield ArchiveStream(response, wire.decode_path_stat("container_archive", response.header(_PATH_STAT)))

    async def put_container_archive(
        self,
        container: str,
        path: str,
        body: bytes | AsyncIterable[bytes] | Iterator[bytes],
        *,
        no_overwrite_dir_non_dir: bool = True,
    ) -> None:
        """Unpack an uncompressed tar archive into a folder of a created, running or exited container.

        Args:
            container: its id or name.
            path: the folder.
            body: the archive, whole or in pieces. A worker thread iterates and sends, which is the fastest for much
                data; up to 4 MiB are made ahead. What an iterator raises comes out.
            no_overwrite_dir_non_dir: refuse a folder in the place of a file, and a file in the place of a folder.

        Raises:
            EngineNotFound: there is no such folder.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        query: Query = {"path": path, "noOverwriteDirNonDir": no_overwrite_dir_non_dir}
        if isinstance(body, bytes):
            await self._calls.call("put_container_archive", "PUT", target, query=query, body=body, headers=TAR)
        else:
            async with self._calls.stream("put_container_archive", "PUT", target, query=query, body=body, headers=TAR):
                return
