"""`FakeEngine`: a Docker daemon in memory, for the tests of programs that use lightrunner."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

import h11
import trio

from lightrunner.rules.limits import INIT_VOLUME_PREFIX

from .archive_operations import ARCHIVE_OPERATIONS
from .clock import guarded_clock
from .container_operations import CONTAINER_OPERATIONS
from .containers import FakeContainer, Program
from .daemon import Daemon, Refusal, Rule, whole_reference
from .files import FileSystem
from .http import OPERATIONS, Answer, Request, json_answer, next_request, plain
from .image_operations import IMAGE_OPERATIONS
from .other_operations import OTHER_OPERATIONS
from .pipes import MemoryConnection, memory_connection

_OWN: Final = ARCHIVE_OPERATIONS | CONTAINER_OPERATIONS | IMAGE_OPERATIONS | OTHER_OPERATIONS


class FakeEngine:
    """A daemon in memory. Use as ``async with``, and give `connect` to a runner.

        async with FakeEngine(program) as engine, DockerRunner(connect=engine.connect) as runner:
            result = await runner.run(RunRequest(image="python:3.12-alpine"))

    No socket and no process is involved, and under trio's ``MockClock`` time costs nothing. Containers, volumes,
    networks and images behave as on a real daemon. A container runs a `Program`: an async function that takes its
    `FakeContainer`.

    Args:
        program: the program of every container without one from `add_program`; None: print nothing, and exit with 0.
        images: the images that the daemon has; None: every image.
        registry: the images that can be pulled; None: all.
        script: answers that replace the engine's own, by operation (`OPERATIONS`). It may be changed at any time.
        api_version: the newest version of the API that it speaks.
        min_api_version: the oldest one. A request of a version that is not between them gets a 400.
        runtimes: the container runtimes that it knows.

    Error handling: a program that raises has a bug. Its container prints the traceback to stderr and exits with 1, and
    the end of the block raises the first such exception, unless the block raises one of its own.

    Attributes:
        requests_seen: every request, in order.
        connections: how many were opened.
        open_connections: how many are open.
    """

    def __init__(
        self,
        program: Program | None = None,
        *,
        images: Collection[str] | None = None,
        registry: Collection[str] | None = None,
        script: Mapping[str, Answer] | None = None,
        api_version: str = "1.41",
        min_api_version: str = "1.24",
        runtimes: Collection[str] = ("runc", "runsc"),
    ) -> None:
        self._daemon = Daemon(images, registry, runtimes)
        self.script: dict[str, Answer] = dict(script or {})
        self._check_script()
        self.requests_seen: list[Request] = []
        self.connections = self.open_connections = 0
        self._api_versions = (_version(min_api_version), _version(api_version))
        self._version_texts = (min_api_version, api_version)
        self._is_up = True
        self._serving: set[trio.CancelScope] = set()
        self._blocks = self._block()
        if program is not None:
            self.add_program(program)

    async def __aenter__(self) -> Self:
        await self._blocks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._blocks.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _block(self) -> AsyncGenerator[None]:
        failure: BaseException | None = None
        with guarded_clock():
            async with trio.open_nursery() as nursery:
                self._daemon.begin(nursery)
                try:
                    yield
                except BaseException as error:  # noqa: BLE001 - raised below, bare instead of in the nursery's group
                    failure = error
                nursery.cancel_scope.cancel()
        failures = self._daemon.failures
        if failure is None and failures:
            failure = failures[0]
        if failure is not None:
            raise failure

    # --- programs, images and contents --------------------------------------------------------------------------------

    def add_program(self, program: Program, *, image: str | None = None, command: str | None = None) -> None:
        """Add a program for containers and build steps. Of several that match, the last one added applies.

        Args:
            program: the async function.
            image: only in this image, and in those built on it by setup steps.
            command: only for this command: the text of a request's ``entrypoint``, or the words of the image's own.
        """
        self._daemon.rules.append(Rule(program, image, command))

    def add_image(
        self,
        name: str,
        *,
        program: Program | None = None,
        user: str = "",
        env: Mapping[str, str] | None = None,
        entrypoint: Sequence[str] = (),
        command: Sequence[str] = (),
        workdir: str = "",
        labels: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Add an image, or replace the one of that name. `files` are absolute paths and contents."""
        system = FileSystem()
        for path, data in (files or {}).items():
            system.write(path, data)
        config = {
            "User": user,
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            "Entrypoint": list(entrypoint),
            "Cmd": list(command),
            "WorkingDir": workdir,
            "Labels": dict(labels or {}),
        }
        self._daemon.add_image(whole_reference(name), config, files=system)
        if program is not None:
            self.add_program(program, image=name)

    @property
    def containers(self) -> list[FakeContainer]:
        """The containers that exist, oldest first."""
        return list(self._daemon.containers.values())

    @property
    def volumes(self) -> list[str]:
        """The names of the volumes that exist."""
        return list(self._daemon.volumes)

    @property
    def networks(self) -> list[str]:
        """The names of the networks that were created and not removed."""
        return [network.name for network in self._daemon.networks.values()]

    @property
    def images(self) -> list[str]:
        """The names of the images that the daemon has."""
        return [tag for image in self._daemon.images.values() for tag in image.tags]

    @property
    def leftovers(self) -> list[str]:
        """What runs would leave: containers and volumes, by name.

        Images, networks and the volume of the init program are meant to stay.
        """
        volumes = [name for name in self.volumes if not name.startswith(INIT_VOLUME_PREFIX)]
        return [*(f"container {it.name}" for it in self.containers), *(f"volume {name}" for name in volumes)]

    def requests(self, operation: str) -> list[Request]:
        """The requests for one operation, in the order in which they came."""
        assert operation in OPERATIONS, f"no such operation: {operation}"
        return [request for request in self.requests_seen if request.operation == operation]

    # --- connections --------------------------------------------------------------------------------------------------

    async def connect(self) -> MemoryConnection:
        """Open a connection: for `DockerRunner` and `lightrunner.engine.EngineClient`.

        Raises:
            ConnectionRefusedError: the daemon is down.
        """
        await trio.lowlevel.checkpoint()
        nursery = self._daemon.nursery
        assert nursery is not None, "use a FakeEngine inside its block: async with FakeEngine() as engine"
        if not self._is_up:
            raise ConnectionRefusedError("Connection refused")
        client, server = memory_connection()
        nursery.start_soon(self.serve, server)
        return client

    async def serve(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Answer the requests of one connection, until it ends. `connect` calls this; a socket's stream works too."""
        self.connections += 1
        self.open_connections += 1
        scope = trio.CancelScope()
        try:
            # A client may hang up whenever it likes, in the middle of its own request as well.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                async with stream:
                    with scope:
                        self._serving.add(scope)
                        await self._converse(stream)
        finally:
            self._serving.discard(scope)
            self.open_connections -= 1

    async def _converse(self, stream: trio.abc.HalfCloseableStream) -> None:
        while request := await next_request(stream):
            self.requests_seen.append(request)
            request.own_answer = self._answer
            self._check_script()
            await self.script.get(request.operation, self._answer)(request)
            if request.hang_up:
                return

    async def stop(self) -> None:
        """Take the daemon down: connections break, and containers are killed, as without live-restore."""
        self._is_up = False
        for scope in self._serving:
            scope.cancel()
        for container in self.containers:
            if container.is_running:
                container.kill()
                await container.ended.wait()
        await trio.lowlevel.checkpoint()

    def start(self) -> None:
        """Bring the daemon back. Containers, volumes, images and networks are as they were."""
        self._is_up = True

    async def restart(self, downtime: float = 1.0) -> None:
        """Take the daemon down, and bring it back after some seconds."""
        await self.stop()
        await trio.sleep(downtime)
        self.start()

    # --- answers ------------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> None:
        """Act, and answer."""
        await request.receive_body()
        answer: Answer | None
        try:
            answer = await self._act(request)
        except Refusal as refusal:
            answer = json_answer({"message": refusal.message}, status=refusal.status)
        if answer is not None:
            await answer(request)

    async def _act(self, request: Request) -> Answer | None:
        oldest, newest = self._version_texts
        if request.operation == "system_ping":
            return plain(b"OK", headers={"Api-Version": newest, "Ostype": "linux"})
        # A script that answers pings says which versions there are.
        is_checked = request.api_version and "system_ping" not in self.script
        if is_checked and not self._api_versions[0] <= _version(request.api_version) <= self._api_versions[1]:
            bound = f"minimum supported API version is {oldest}, maximum supported API version is {newest}"
            raise Refusal(400, f"client version {request.api_version} is not supported: {bound}")
        if request.operation == "system_version":
            return json_answer({"Version": "fake", "ApiVersion": newest, "MinAPIVersion": oldest, "Os": "linux"})
        if request.operation not in _OWN:
            raise Refusal(404, "page not found")
        return await _OWN[request.operation](self._daemon, request)

    def _check_script(self) -> None:
        unknown = self.script.keys() - OPERATIONS.keys()
        assert not unknown, f"no such operation: {unknown}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
