"""Create and remove pause containers: each holds a network namespace for one run, made ahead of time.

Creating and destroying a network namespace is half of a cold start, and does not depend on the image. A run joins the
namespace of a pause container (``NetworkMode=container:<id>``), which is removed with the run.
"""

import hashlib
import io
import math
import tarfile
import uuid
from functools import partial
from typing import NamedTuple

import trio

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, LogConfig, SystemInfo
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import current_owner
from lightrunner.pool import PoolSize, SingleUsePool
from lightrunner.resources import remove_run, shielded_create
from lightrunner.rules.limits import (
    DEFAULT_RUNTIME,
    LABEL_KIND,
    LABEL_OWNER,
    LABEL_RUN_ID,
    NAME_PREFIX,
    PAUSE_MEMORY_BYTES,
    PAUSE_PIDS,
    PAUSE_REFILL_DELAY,
    PAUSE_REPOSITORY,
)
from lightrunner.rules.pause import pause_program

from .isolated import IsolatedNetwork

_JOINING_RUNTIMES = frozenset({"runc", "crun"})


class PauseContainer(NamedTuple):
    """A started pause container. Its name and labels have `id` as a run's have the run's id, for the reaper."""

    id: str
    container_id: str


async def can_prepare(engine: EngineClient, runtime: str) -> bool:
    """Return whether containers of a runtime can join the namespace of a pause container.

    Not every architecture has a pause program. A runtime with its own virtual machine or network stack may be unable to
    join (Kata lists it as a limitation), so only runtimes known to join do.
    """
    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "system_info"):
        info = await engine.system_info()
    if runtime == DEFAULT_RUNTIME:
        runtime = info.default_runtime
    return runtime in _JOINING_RUNTIMES and pause_program(_architecture(info)) is not None


class PauseContainers:
    """Creates and removes pause containers, and imports their image once."""

    def __init__(self, engine: EngineClient, isolated: IsolatedNetwork) -> None:
        self._engine = engine
        self._isolated = isolated
        self._import = trio.Lock()  # Concurrent imports would each leave an image without a name.
        self._image: str | None = None

    async def make(self, network: str | None) -> PauseContainer:
        """Start a pause container on a network; None: the isolated one.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED or DOCKER_UNREACHABLE; nothing is left on the daemon.
        """
        mode = network or await self._isolated.ensure()
        async with self._import:
            if self._image is None:
                with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "image_create"):
                    self._image = await _ensure_pause_image(self._engine)
            image = self._image
        try:
            return await _start_pause_container(self._engine, image, mode)
        except LightRunnerError as error:
            self._image = None  # The image may have been removed.
            if network is not None or mode not in error.message:
                raise
            self._isolated.forget()  # The network was removed.
            return await _start_pause_container(self._engine, image, await self._isolated.ensure())

    async def discard(self, pause_container: PauseContainer) -> None:
        """Remove a pause container. Shielded and bounded."""
        await remove_run(self._engine, pause_container.id)

    def pool(self, network: str | None, size: int) -> SingleUsePool[PauseContainer]:
        """Return a pool of pause containers on a network."""
        return SingleUsePool(
            partial(self.make, network),
            self.discard,
            lambda _: True,
            size=PoolSize(size, size, math.inf),
            delay=PAUSE_REFILL_DELAY,
        )


async def _start_pause_container(engine: EngineClient, image: str, network_mode: str) -> PauseContainer:
    run_id = str(uuid.uuid4())
    name = NAME_PREFIX + run_id
    body = ContainerCreateRequest(
        image=image,
        labels={LABEL_RUN_ID: run_id, LABEL_OWNER: str(current_owner()), LABEL_KIND: "holder"},
        host_config=HostConfig(
            network_mode=network_mode,
            # Every Docker has it. gVisor, which may be the daemon's default, wants more than these limits.
            runtime=DEFAULT_RUNTIME,
            memory=PAUSE_MEMORY_BYTES,
            memory_swap=PAUSE_MEMORY_BYTES,
            pids_limit=PAUSE_PIDS,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            log_config=LogConfig(type="none"),
        ),
    )
    is_started = False
    try:
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_start"):
            created = await shielded_create("container_create", lambda: engine.container_create(body, name=name))
            await engine.container_start(created.id)
            is_started = True
    finally:
        if not is_started:
            await remove_run(engine, run_id)
    return PauseContainer(run_id, created.id)


async def _ensure_pause_image(engine: EngineClient) -> str:
    """Import the image, which has only the pause program, unless the daemon has it. It stays on the daemon."""
    # /info is 10 times as fast as /version, for which the daemon runs three programs. It has the kernel's name for the
    # architecture.
    architecture = _architecture(await engine.system_info())
    program = pause_program(architecture)
    if program is None:
        raise LightRunnerError(
            LightRunnerErrorCode.CONTAINER_START_FAILED,
            f"prepared networks are not available on a daemon of the architecture {architecture!r}",
        )
    tag = hashlib.sha256(program).hexdigest()[:12]
    image = f"{PAUSE_REPOSITORY}:{tag}"
    try:
        await engine.image_inspect(image)
    except EngineNotFound:
        changes = ['ENTRYPOINT ["/pause"]', f"LABEL {LABEL_KIND}=holder"]
        await engine.image_import(_rootfs(program), repo=PAUSE_REPOSITORY, tag=tag, changes=changes)
    return image


def _architecture(info: SystemInfo) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(info.architecture, info.architecture)


def _rootfs(program: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("pause")
        info.size = len(program)
        info.mode = 0o755
        tar.addfile(info, io.BytesIO(program))
    return archive.getvalue()
