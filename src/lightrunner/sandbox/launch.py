"""Start the container of a sandbox: a run's, with the init program as process 1."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec
import trio

from lightrunner.engine import AttachedStream, EngineClient
from lightrunner.engine.wire import ContainerConfig, ContainerCreateRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.images.cache_usage import record_use
from lightrunner.init.volume import InitVolume, init_mount, is_program_missing
from lightrunner.networks.allocation import Networks
from lightrunner.plan import RunPlan
from lightrunner.plan import Sandbox as SandboxLimits
from lightrunner.results import ProgressCallback
from lightrunner.rules.limits import CACHE_REPOSITORY, CREATE_TIMEOUT, INIT_PATH
from lightrunner.runs.prepare import Preparation
from lightrunner.runs.supervise import start_container

from .context import SandboxContext
from .order import Surroundings
from .session import Session


class ReadyContainer(NamedTuple):
    """A started container whose process 1 has greeted.

    Attributes:
        attached: the connection, which is silent until an order is sent.
        streams: closes the connection.
    """

    preparation: Preparation
    context: SandboxContext
    surroundings: Surroundings
    attached: AttachedStream
    streams: AsyncExitStack


class Launcher:
    """Starts containers of one checked request."""

    def __init__(
        self,
        engine: EngineClient,
        networks: Networks,
        init: InitVolume,
        plan: RunPlan,
        limits: SandboxLimits,
        *,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self.plan = plan
        self._engine = engine
        self._networks = networks
        self._init = init
        self._limits = limits
        self._on_progress = on_progress

    async def launch(self) -> ReadyContainer:
        """Start a container, and wait until its process 1 serves.

        Raises:
            LightRunnerError: as `DockerRunner.run` before its start; nothing is left on the daemon.
        """
        volume = await self._init.ensure()
        try:
            return await self._attempt(volume)
        except LightRunnerError as error:
            if not is_program_missing(error):
                raise
        return await self._attempt(await self._init.ensure(repair=True))

    async def _attempt(self, volume: str) -> ReadyContainer:
        # The environment comes with each command: a snapshot's image would keep it otherwise.
        plan = self.plan._replace(entrypoint=None, input=b"", env=[])
        preparation = Preparation(
            self._engine,
            self._networks,
            plan,
            self._limits,
            on_progress=self._on_progress,
            adapt=_serving(volume),
        )
        is_ready = False
        try:
            image = await preparation.ensure_image()
            if image.reference.startswith(f"{CACHE_REPOSITORY}:"):  # A snapshot's clean-up goes by its last use.
                await trio.to_thread.run_sync(record_use, image.reference)

            async def start(container_id: str) -> ReadyContainer:
                async with AsyncExitStack() as stack:
                    started = await stack.enter_async_context(
                        start_container(self._engine, preparation, container_id, attach=True, stdin=True)
                    )
                    assert started.attached is not None
                    session = Session(started.attached, container_id, self._limits.memory_bytes)
                    await _greet(session)
                    streams = stack.pop_all()
                context = SandboxContext(
                    engine=self._engine,
                    session=session,
                    run_id=preparation.id,
                    container_id=container_id,
                    workdir=preparation.mount_point,
                    image_config=image.config,
                    max_extract_bytes=self._limits.max_extract_bytes,
                )
                return ReadyContainer(
                    preparation,
                    context,
                    _surroundings(self.plan, image.config),
                    started.attached,
                    streams,
                )

            ready = await preparation.use_container(image, start)
            is_ready = True
        finally:
            if not is_ready:
                await preparation.remove()
        return ready


async def _greet(session: Session) -> None:
    with trio.move_on_after(CREATE_TIMEOUT):
        await session.greet()
        return
    raise LightRunnerError(
        LightRunnerErrorCode.CONTAINER_START_FAILED,
        f"the sandbox's process 1 did not serve within {CREATE_TIMEOUT:g} s",
        container_id=session.container_id,
    )


def _serving(volume: str) -> Callable[[ContainerCreateRequest], ContainerCreateRequest]:
    """Let a run's container run the init program, as root: it has to become any user, and to outrank all of them."""

    def adapt(body: ContainerCreateRequest) -> ContainerCreateRequest:
        host_config = body.host_config
        return msgspec.structs.replace(
            body,
            entrypoint=[INIT_PATH, "serve"],
            cmd=[],
            user="0",
            host_config=msgspec.structs.replace(host_config, mounts=[*host_config.mounts, init_mount(volume)]),
        )

    return adapt


def _surroundings(plan: RunPlan, image: ContainerConfig) -> Surroundings:
    # Process 1 has what the daemon gave it; HOME is of its user, unless the image or the request has one.
    home = [entry for entry in image.env or [] if entry.startswith("HOME=")]
    return Surroundings(plan.workdir, plan.user or image.user, (*home, *plan.env))
