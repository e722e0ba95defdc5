"""The Engine API, one short method per operation, each named after its operation id.

Options in, a struct out; what the daemon refuses raises `EngineResponseError`. Where the order of calls matters the
docstring says so.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Self
from urllib.parse import quote, urlencode

from . import wire
from .calls import Calls, Query
from .endpoint import find_endpoint
from .hijack import AttachedStream, OutputStream
from .progress import ProgressMessage
from .transport import Response

_TAR = ((b"Content-Type", b"application/x-tar"),)
_UPGRADE = ((b"Connection", b"Upgrade"), (b"Upgrade", b"tcp"))
_PATH_STAT = "x-docker-container-path-stat"

WaitCondition = Literal["not-running", "next-exit", "removed"]
Filters = Mapping[str, Sequence[str]]


class PendingExit:
    """A wait that the daemon has accepted. `result` waits for it."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def result(self) -> wire.ContainerWaitResponse:
        """The exit code, as soon as the condition holds."""
        return wire.decode(wire.CONTAINER_WAIT, "container_wait", await self._response.read())


class ArchiveStream:
    """A tar archive that the daemon sends; `stat` is of the path that was asked for."""

    def __init__(self, response: Response, stat: wire.PathStat) -> None:
        self._response = response
        self.stat = stat

    async def receive_some(self) -> bytes:
        """The archive's next bytes; none at its end."""
        return await self._response.receive_some()


class EngineClient:
    """A client of one Docker daemon. Use as ``async with``; it owns connections, and no tasks.

    Args:
        host: ``unix:///path`` or ``tcp://host:port``; without it ``DOCKER_HOST``, then the system's socket, then the
            rootless daemon's.

    Error handling: every method raises `EngineUnreachable` where the daemon cannot be reached or the connection is
    lost, `EngineProtocolError` where it answers something that is not the Engine API, and `EngineResponseError`
    (`EngineNotFound`, `EngineConflict`) where it refuses. The API version is agreed on with the first call, and again
    after a lost connection.

    Raises:
        EngineEndpointError: `host` or ``DOCKER_HOST`` cannot be used.
    """

    def __init__(self, host: str | None = None) -> None:
        self.endpoint = find_endpoint(host, os.environ)
        self._calls = Calls(self.endpoint)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    # --- system ---------------------------------------------------------------------------------------------------

    async def system_ping(self) -> str:
        """The newest API version that the daemon speaks, such as ``1.41``.

        Raises:
            EngineUnreachable: also where there is no answer within 5 s.
        """
        return await self._calls.ping()

    async def system_version(self) -> wire.SystemVersion:
        """The daemon's versions."""
        return wire.decode(
            wire.SYSTEM_VERSION, "system_version", await self._calls.call("system_version", "GET", "/version")
        )

    async def system_info(self) -> wire.SystemInfo:
        """The daemon's configuration and its host."""
        return wire.decode(wire.SYSTEM_INFO, "system_info", await self._calls.call("system_info", "GET", "/info"))

    # --- containers -----------------------------------------------------------------------------------------------

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
        query = {"all": all, "filters": _filters(filters)}
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
        async with self._calls.stream("container_attach", "POST", path, query=query, headers=_UPGRADE) as response:
            yield AttachedStream(response.upgraded())

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
        async with self._calls.stream("container_archive_info", "HEAD", target, query={"path": path}) as response:
            await response.read()  # There is none, but a connection is kept only where the end was seen.
            return wire.decode_path_stat("container_archive_info", response.header(_PATH_STAT))

    @asynccontextmanager
    async def container_archive(self, container: str, path: str) -> AsyncGenerator[ArchiveStream]:
        """A path in a container as a tar archive. The daemon holds the container's lock meanwhile.

        Raises:
            EngineNotFound: nothing is there.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        async with self._calls.stream("container_archive", "GET", target, query={"path": path}) as response:
            yield ArchiveStream(response, wire.decode_path_stat("container_archive", response.header(_PATH_STAT)))

    async def put_container_archive(
        self, container: str, path: str, body: bytes | AsyncIterable[bytes], *, no_overwrite_dir_non_dir: bool = True
    ) -> None:
        """Unpack an uncompressed tar archive into a folder of a created, running or exited container.

        Raises:
            EngineNotFound: there is no such folder.
        """
        target = f"/containers/{quote(container, safe='')}/archive"
        query: Query = {"path": path, "noOverwriteDirNonDir": no_overwrite_dir_non_dir}
        await self._calls.call("put_container_archive", "PUT", target, query=query, body=body, headers=_TAR)

    # --- images ---------------------------------------------------------------------------------------------------

    async def image_inspect(self, image: str) -> wire.ImageInspectResponse:
        """An image's configuration.

        Raises:
            EngineNotFound: it is not here.
        """
        reply = await self._calls.call("image_inspect", "GET", f"/images/{quote(image, safe='/:@')}/json")
        return wire.decode(wire.IMAGE_INSPECT, "image_inspect", reply)

    async def image_list(self, *, filters: Filters | None = None) -> list[wire.ImageSummary]:
        """Images that have a name, or that the filters choose."""
        reply = await self._calls.call("image_list", "GET", "/images/json", query={"filters": _filters(filters)})
        return wire.decode(wire.IMAGE_LIST, "image_list", reply)

    async def image_pull(
        self,
        name: str,
        *,
        tag: str,
        platform: str | None = None,
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> None:
        """Pull an image (operation ImageCreate). `tag` is a tag or a digest; without one all tags would come."""
        query = {"fromImage": name, "tag": tag, "platform": platform}
        await self._calls.progress("image_create", "/images/create", query=query, on_progress=on_progress)

    async def image_import(
        self,
        body: bytes | AsyncIterable[bytes],
        *,
        repo: str,
        tag: str,
        changes: Sequence[str] = (),
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> str:
        """Make an image of a root file system in a tar archive (operation ImageCreate, fromSrc).

        Args:
            body: the archive.
            repo: the name of the image.
            tag: its tag.
            changes: Dockerfile instructions such as ``ENV A=b``.
            on_progress: gets each message.

        Returns:
            The image's id.
        """
        query = urlencode({"fromSrc": "-", "repo": repo, "tag": tag})
        query += "".join(f"&changes={quote(change, safe='')}" for change in changes)
        path = f"/images/create?{query}"
        last = await self._calls.progress("image_create", path, on_progress=on_progress, body=body, headers=_TAR)
        return last.status if last else ""

    async def image_build(
        self,
        context: bytes | AsyncIterable[bytes],
        *,
        tag: str,
        labels: Mapping[str, str] | None = None,
        platform: str | None = None,
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> None:
        """Build an image by the classic builder, and give it the tag where that succeeds.

        Cancel it by cancelling the call: the daemon kills and removes the container of the step that runs.

        Args:
            context: a tar archive with a Dockerfile.
            tag: ``name:tag``.
            labels: of the image.
            platform: of the image.
            on_progress: gets each message.

        Raises:
            EngineResponseError: a step failed; `status` is then its exit code, where the daemon tells it.
        """
        query = {
            "t": tag,
            "labels": wire.encode(labels or {}).decode(),
            "platform": platform,
            "rm": True,
            "forcerm": True,  # also where a step fails
        }
        await self._calls.progress(
            "image_build", "/build", query=query, on_progress=on_progress, body=context, headers=_TAR
        )

    async def image_tag(self, image: str, *, repo: str, tag: str) -> None:
        """Give an image one more name."""
        path = f"/images/{quote(image, safe='/:@')}/tag"
        await self._calls.call("image_tag", "POST", path, query={"repo": repo, "tag": tag})

    async def image_delete(
        self, image: str, *, force: bool = False, no_prune: bool = False
    ) -> list[wire.ImageDeleteItem]:
        """Remove a name of an image, and with its last one the image.

        Raises:
            EngineConflict: a container uses it.
        """
        query = {"force": force, "noprune": no_prune}
        reply = await self._calls.call("image_delete", "DELETE", f"/images/{quote(image, safe='/:@')}", query=query)
        return wire.decode(wire.IMAGE_DELETE, "image_delete", reply)

    # --- volumes --------------------------------------------------------------------------------------------------

    async def volume_create(self, body: wire.VolumeCreateRequest) -> wire.Volume:
        """Create a volume, or find the one of that name."""
        reply = await self._calls.call("volume_create", "POST", "/volumes/create", json=body)
        return wire.decode(wire.VOLUME, "volume_create", reply)

    async def volume_inspect(self, name: str) -> wire.Volume:
        """A volume."""
        reply = await self._calls.call("volume_inspect", "GET", f"/volumes/{quote(name, safe='')}")
        return wire.decode(wire.VOLUME, "volume_inspect", reply)

    async def volume_list(self, *, filters: Filters | None = None) -> list[wire.Volume]:
        """All volumes, or those that the filters choose."""
        reply = await self._calls.call("volume_list", "GET", "/volumes", query={"filters": _filters(filters)})
        return wire.decode(wire.VOLUME_LIST, "volume_list", reply).volumes or []

    async def volume_delete(self, name: str, *, force: bool = False) -> None:
        """Remove a volume.

        Raises:
            EngineConflict: a container uses it.
        """
        await self._calls.call("volume_delete", "DELETE", f"/volumes/{quote(name, safe='')}", query={"force": force})

    async def volume_prune(self, *, filters: Filters | None = None) -> wire.VolumePruneResponse:
        """Remove the volumes that no container uses."""
        reply = await self._calls.call("volume_prune", "POST", "/volumes/prune", query={"filters": _filters(filters)})
        return wire.decode(wire.VOLUME_PRUNE, "volume_prune", reply)

    # --- networks -------------------------------------------------------------------------------------------------

    async def network_create(self, body: wire.NetworkCreateRequest) -> wire.NetworkCreateResponse:
        """Create a network. Names are not unique; a bridge's device name is."""
        reply = await self._calls.call("network_create", "POST", "/networks/create", json=body)
        return wire.decode(wire.NETWORK_CREATE, "network_create", reply)

    async def network_inspect(self, network: str) -> wire.Network:
        """A network."""
        reply = await self._calls.call("network_inspect", "GET", f"/networks/{quote(network, safe='')}")
        return wire.decode(wire.NETWORK, "network_inspect", reply)

    async def network_list(self, *, filters: Filters | None = None) -> list[wire.Network]:
        """All networks, or those that the filters choose. The filter ``name`` matches parts of names."""
        reply = await self._calls.call("network_list", "GET", "/networks", query={"filters": _filters(filters)})
        return wire.decode(wire.NETWORK_LIST, "network_list", reply)

    async def network_delete(self, network: str) -> None:
        """Remove a network."""
        await self._calls.call("network_delete", "DELETE", f"/networks/{quote(network, safe='')}")

    async def network_prune(self, *, filters: Filters | None = None) -> wire.NetworkPruneResponse:
        """Remove the networks that no container uses."""
        reply = await self._calls.call("network_prune", "POST", "/networks/prune", query={"filters": _filters(filters)})
        return wire.decode(wire.NETWORK_PRUNE, "network_prune", reply)


def _filters(filters: Filters | None) -> str | None:
    return wire.encode(filters).decode() if filters else None
