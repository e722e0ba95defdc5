"""The operations on containers: one short method each, named after its operation id."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import quote

from . import wire
from .calls import TAR, Calls, Filters, Query, filters_text
from .frames import FrameDecoder, PlainDecoder
from .streams import AttachedStream, OutputStream
from .transport import AnyResponse, Response

_PATH_STAT = "x-docker-container-path-stat"

_MAX_EXIT_BYTES = 64 * 1024
"""Limit of a wait's response, which has 40 bytes, or the daemon's error message."""

WaitCondition = Literal["not-running", "next-exit", "removed"]


class PendingExit:
    """A wait that the daemon has registered. `result` waits for the exit."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def result(self) -> wire.ContainerWaitResponse:
        """Wait until the condition holds. Return the exit code, or the daemon's error."""
        return wire.decode(wire.CONTAINER_WAIT, "container_wait", await self._response.read_up_to(_MAX_EXIT_BYTES))


class ArchiveStream:
    """A tar archive that the daemon sends.

    Attributes:
        stat: the stat of the requested path.
    """

    def __init__(self, response: AnyResponse, stat: wire.PathStat) -> None:
        self._response = response
        self.stat = stat

    async def receive_some(self) -> bytes:
        """Receive the next bytes of the archive; empty at its end."""
        return await self._response.receive_some()

    async def drain(self, consume: Callable[[Sequence[memoryview]], bool | None]) -> None:
        """Call `consume` with the archive's pieces, in order and in a worker thread, until it returns True.

        This is the fastest way to write an archive to files. Return True at the archive's end mark: the daemon ends the
        response some 40 ms later (20.10), after it has unmounted the container. Without True, reading stops at the end
        of the response. An exception from `consume` propagates. A cancellation takes effect between two calls.
        """
        await self._response.drain(consume)


class Containers:
    """The container operations of `EngineClient`."""

    _calls: Calls

    async def container_create(
        self, body: wire.ContainerCreateRequest, *, name: str | None = None, platform: str | None = None
    ) -> wire.ContainerCreateResponse:
        """Create a container, and the volumes that its mounts name.

        The call is not a transaction. Choose `name` and labels beforehand: with them, the container and its volumes can
        be found and removed if the response is lost.

        Raises:
            EngineNotFound: the daemon does not have the image.
            EngineConflict: the name is taken.
        """
        query = {"name": name, "platform": platform}
        reply = await self._calls.call("container_create", "POST", "/containers/create", query=query, json=body)
        return wire.decode(wire.CONTAINER_CREATE, "container_create", reply)

    async def container_inspect(self, container: str) -> wire.ContainerInspectResponse:
        """Return a container's state and configuration. The daemon responds after any archive transfer has ended.

        Raises:
            EngineNotFound: there is no such container.
        """
        reply = await self._calls.call("container_inspect", "GET", f"/containers/{quote(container, safe='')}/json")
        return wire.decode(wire.CONTAINER_INSPECT, "container_inspect", reply)

    async def container_list(
        self,
        *,
        all: bool = False,  # noqa: A002  # the API's name
        filters: Filters | None = None,
    ) -> list[wire.ContainerSummary]:
        """Return the running containers, or all of them."""
        query = {"all": all, "filters": filters_text(filters)}
        reply = await self._calls.call("container_list", "GET", "/containers/json", query=query)
        return wire.decode(wire.CONTAINER_LIST, "container_list", reply)

    async def container_start(self, container: str) -> None:
        """Start a created or exited container. On a running one this does nothing."""
        await self._calls.call("container_start", "POST", f"/containers/{quote(container, safe='')}/start")

    @asynccontextmanager
    async def container_wait(
        self, container: str, *, condition: WaitCondition = "not-running"
    ) -> AsyncGenerator[PendingExit]:
        """Wait for a container. The block begins as soon as the daemon has registered the wait.

        For a container that has not started, use this order: attach, wait for ``next-exit``, start. ``not-running``
        returns at once for a created container, and ``next-exit`` blocks forever on one that has exited.
        """
        path = f"/containers/{quote(container, safe='')}/wait"
        async with self._calls.stream("container_wait", "POST", path, query={"condition": condition}) as response:
            yield PendingExit(response)

    @asynccontextmanager
    async def container_attach(
        self,
        container: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        tty: bool = False,
        detach_keys: str | None = None,
    ) -> AsyncGenerator[AttachedStream]:
        """Attach to a container's streams. Attach before the start; otherwise output can be lost.

        Read to the end without long pauses: 2 s after the exit, the daemon drops unread output.

        Args:
            container: its id or name.
            stdin: attach to its stdin.
            stdout: attach to its stdout.
            stderr: attach to its stderr.
            logs: send the output from the start first.
            tty: the container has a terminal. Its output has no frames, and all of it is stdout.
            detach_keys: the input that ends the attach to a terminal, such as ``ctrl-a,d``. It cannot be switched off;
                None is the daemon's own, by default Ctrl-P Ctrl-Q.
        """
        path = f"/containers/{quote(container, safe='')}/attach"
        query: Query = {"stream": True, "stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs}
        if detach_keys is not None:
            query = {**query, "detachKeys": detach_keys}
        async with self._calls.upgrade("container_attach", path, query=query) as connection:
            yield AttachedStream(connection, PlainDecoder() if tty else FrameDecoder())

    @asynccontextmanager
    async def container_logs(
        self, container: str, *, follow: bool = False, stdout: bool = True, stderr: bool = True
    ) -> AsyncGenerator[OutputStream]:
        """Read a container's output from its start. With `follow`, continue until the container exits."""
        path = f"/containers/{quote(container, safe='')}/logs"
        query = {"follow": follow, "stdout": stdout, "stderr": stderr}
        async with self._calls.stream("container_logs", "GET", path, query=query) as response:
            yield OutputStream(response)

    async def container_stats(self, container: str) -> wire.ContainerStatsResponse:
        """Return what a running container uses at this moment.

        Docker before 23 takes up to a second if it was asked within the last one: it reads the figures once a second.
        """
        path = f"/containers/{quote(container, safe='')}/stats"
        reply = await self._calls.call("container_stats", "GET", path, query={"stream": False, "one-shot": True})
        return wire.decode(wire.CONTAINER_STATS, "container_stats", reply)

    async def container_resize(self, container: str, *, height: int, width: int) -> None:
        """Set the size of a running container's terminal, in characters.

        Raises:
            EngineConflict: it does not run.
        """
        path = f"/containers/{quote(container, safe='')}/resize"
        await self._calls.call("container_resize", "POST", path, query={"h": height, "w": width})

    async def container_update(self, container: str, body: wire.ContainerUpdateRequest) -> None:
        """Change the limits of a container, also while it runs."""
        path = f"/containers/{quote(container, safe='')}/update"
        await self._calls.call("container_update", "POST", path, json=body)

    async def container_kill(self, container: str, *, signal: str = "SIGKILL") -> None:
        """Send a signal to a container's main process. SIGKILL reaches a paused container as well.

        Raises:
            EngineConflict: the container is not running.
        """
        path = f"/containers/{quote(container, safe='')}/kill"
        await self._calls.call("container_kill", "POST", path, query={"signal": signal})

    async def container_stop(self, container: str, *, timeout: int | None = None) -> None:  # noqa: ASYNC109  # the API's
        """Send the stop signal, wait `timeout` seconds, send SIGKILL. On a stopped container this does nothing."""
        await self._calls.call(
            "container_stop", "POST", f"/containers/{quote(container, safe='')}/stop", query={"t": timeout}
        )

    async def container_pause(self, container: str) -> None:
        """Freeze a container's processes.

        Raises:
            EngineConflict: the container is already paused, or not running.
        """
        await self._calls.call("container_pause", "POST", f"/containers/{quote(container, safe='')}/pause")

    async def container_unpause(self, container: str) -> None:
        """Thaw a container's processes. If it is not paused, 20.10 responds with the status 500."""
        await self._calls.call("container_unpause", "POST", f"/containers/{quote(container, safe='')}/unpause")

    async def container_delete(self, container: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; with `force` even if it is running, with `volumes` also its anonymous volumes.

        `force` is SIGKILL. (podman would first send the stop signal and wait 10 s; ``timeout``, which Docker does not
        know, tells it not to.)

        Raises:
            EngineNotFound: there is no such container.
            EngineConflict: the container is running, or another removal is in progress.
        """
        query = {"force": force, "v": volumes, "timeout": 0 if force else None}
        await self._calls.call("container_delete", "DELETE", f"/containers/{quote(container, safe='')}", query=query)

    async def container_archive_info(self, container: str, path: str) -> wire.PathStat:
        """Return the stat of a path in a created, running or exited container.

        Raises:
            EngineNotFound: there is no such path or container.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        stat = await self._calls.head("container_archive_info", target, _PATH_STAT, query={"path": path})
        return wire.decode_path_stat("container_archive_info", stat)

    @asynccontextmanager
    async def container_archive(
        self, container: str, path: str, *, chunked: bool = True
    ) -> AsyncGenerator[ArchiveStream]:
        """Receive a path in a container as a tar archive. The daemon holds the container's lock meanwhile.

        Args:
            container: the container's id or name.
            path: an absolute path in the container.
            chunked: False sends the request over HTTP/1.0, which takes a tenth less time. A daemon that dies then looks
                like the end of the archive, so the reader has to check for the archive's own end mark.

        Raises:
            EngineNotFound: there is no such path or container.
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
            container: the container's id or name.
            path: the folder, which must exist.
            body: the archive, whole or in pieces. A plain iterator is the fastest for much data: a worker thread
                advances it, up to 4 MiB ahead. Its exceptions propagate.
            no_overwrite_dir_non_dir: do not replace a file with a folder, or a folder with a file.

        Raises:
            EngineNotFound: there is no such folder or container.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        query: Query = {"path": path, "noOverwriteDirNonDir": no_overwrite_dir_non_dir}
        if isinstance(body, bytes):
            await self._calls.call("put_container_archive", "PUT", target, query=query, body=body, headers=TAR)
        else:
            async with self._calls.stream("put_container_archive", "PUT", target, query=query, body=body, headers=TAR):
                return
