"""Create and remove pause containers: each holds a network namespace for one run, made ahead of time.

Creating and destroying a network namespace is half of a cold start, and does not depend on the image. A run joins the
namespace of a pause container (``NetworkMode=container:<id>``), which is removed with the run.
"""

import math
import uuid
from functools import partial
from typing import NamedTuple

import trio

from lightrunner.engine import EngineClient
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, LogConfig, SystemInfo
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import current_owner
from lightrunner.init.image import ensure_init_image
from lightrunner.init.program import daemon_architecture, init_program
from lightrunner.pool import PoolSize, SingleUsePool
from lightrunner.resources import remove_run, shielded_create
from lightrunner.rules.limits import (
    DEFAULT_RUNTIME,
    LABEL_KIND,
    LABEL_OWNER,
    LABEL_RUN_ID,
    NAME_PREFIX,
    PAUSE_KIND,
    PAUSE_MEMORY_BYTES,
    PAUSE_PIDS,
    PAUSE_REFILL_DELAY,
)

from .isolated import IsolatedNetwork

_JOINING_RUNTIMES = frozenset({"runc", "crun"})


class PauseContainer(NamedTuple):
    """A started pause container. Its name and labels have `id` as a run's have the run's id, for the reaper."""

    id: str
    container_id: str


class PauseContainers:
    """Creates and removes pause containers. Their image is lightrunner's init program, which is imported once."""

    def __init__(self, engine: EngineClient, isolated: IsolatedNetwork) -> None:
        self._engine = engine
        self._isolated = isolated
        self._import = trio.Lock()  # Concurrent imports would each leave an image without a name.
        self._image: str | None = None
        self._info: SystemInfo | None = None

    async def can_prepare(self, runtime: str) -> bool:
        """Return whether containers of a runtime can join the namespace of a pause container.

        Not every architecture has an init program. A runtime with its own virtual machine or network stack may be
        unable to join (Kata lists it as a limitation), so only runtimes known to join do.
        """
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "system_info"):
            info = await self._daemon_info()
        if runtime == DEFAULT_RUNTIME:
            runtime = info.default_runtime
        return runtime in _JOINING_RUNTIMES and init_program(daemon_architecture(info)) is not None

    async def make(self, network: str | None) -> PauseContainer:
        """Start a pause container on a network; None: the isolated one.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED or DOCKER_UNREACHABLE; nothing is left on the daemon.
        """
        mode = network or await self._isolated.ensure()
        async with self._import:
            if self._image is None:
                with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "image_create"):
                    self._image = await self._ensure_image()
            image = self._image
        try:
            return await _start_pause_container(self._engine, image, mode)
        except LightRunnerError as error:
            self._image = self._info = None  # The image may have been removed, and the daemon be another.
            if network is not None or mode not in error.message:
                raise
            self._isolated.forget()  # The network was removed.
            return await _start_pause_container(self._engine, image, await self._isolated.ensure())

    async def _daemon_info(self) -> SystemInfo:
        # /info is 10 times as fast as /version, for which the daemon runs three programs.
        if self._info is None:
            self._info = await self._engine.system_info()
        return self._info

    async def _ensure_image(self) -> str:
        architecture = daemon_architecture(await self._daemon_info())
        program = init_program(architecture)
        if program is None:
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                f"prepared networks are not available on a daemon of the architecture {architecture!r}",
            )
        return await ensure_init_image(self._engine, program)

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
        labels={LABEL_RUN_ID: run_id, LABEL_OWNER: str(current_owner()), LABEL_KIND: PAUSE_KIND},
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
