"""Install the program on a daemon, once: a volume that containers mount read-only, instead of an upload for each.

A tiny image holds the program. The daemon copies what an image has at a mount point into an empty volume ("copy-up")
when a container with that mount is created. Image and volume are named after the program's digest, and stay.
"""

import uuid
from datetime import datetime

import trio

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, LogConfig, Mount, SystemInfo, VolumeOptions
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import current_owner
from lightrunner.resources import remove_run, shielded_create
from lightrunner.rules.limits import (
    INIT_FOLDER,
    INIT_KIND,
    INIT_PATH,
    INIT_VOLUME_PREFIX,
    LABEL_KIND,
    LABEL_OWNER,
    LABEL_RUN_ID,
    NAME_PREFIX,
)

from .image import ensure_init_image
from .program import InitProgram, daemon_architecture, init_program

_TRUSTED_AGE = 60.0
"""Seconds. A volume of that age is complete: the daemon copies as it creates it. Only a daemon that was killed in
between leaves an incomplete one; the start of a container with it fails, and the caller then asks for `repair`."""

_COPY_TIMEOUT = 10.0
_COPY_PAUSE = 0.05


class InitVolume:
    """The volume with the program, for one runner."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._lock = trio.Lock()
        self._name: str | None = None

    async def ensure(self, *, repair: bool = False) -> str:
        """Return the volume's name. Install the program first, unless the daemon has it.

        Args:
            repair: check the volume's content, and fill it again. For a container that did not find the program.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED, also for podman and for a daemon of another architecture;
                DOCKER_UNREACHABLE.
        """
        async with self._lock:  # Concurrent imports would each leave an image without a name.
            if self._name is None or repair:
                with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "volume_create"):
                    self._name = await self._install(trusting=not repair)
            return self._name

    async def _install(self, *, trusting: bool) -> str:
        if await self._engine.is_podman():
            # It fills a volume at a container's first start, and mounts no tmpfs for another user than root.
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                "podman has no place for lightrunner's init program, which secrets, usage and sandboxes need",
            )
        # /info is 10 times as fast as /version, for which the daemon runs three programs. It has its clock, too.
        info = await self._engine.system_info()
        architecture = daemon_architecture(info)
        program = init_program(architecture)
        if program is None:
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                f"no init program for a daemon of the architecture {architecture!r}",
            )
        name = INIT_VOLUME_PREFIX + program.digest
        try:
            volume = await self._engine.volume_inspect(name)
        except EngineNotFound:
            pass
        else:
            if trusting and _age(volume.created_at, info) > _TRUSTED_AGE:
                return name
        await _fill(self._engine, await ensure_init_image(self._engine, program), name, program)
        return name


def is_program_missing(error: LightRunnerError) -> bool:
    """Whether a container's start failed since the volume lacks the program: it was removed, or is incomplete."""
    return error.docker_op == "container_start" and INIT_PATH in error.message


def init_mount(volume: str) -> Mount:
    """Return the mount that a container finds the program by, at `INIT_PATH`."""
    return Mount(type="volume", source=volume, target=INIT_FOLDER, read_only=True)


async def _fill(engine: EngineClient, image: str, volume: str, program: InitProgram) -> None:
    """Create a container that mounts the volume, which fills an empty one, and remove it."""
    run_id = str(uuid.uuid4())
    mount = Mount(
        type="volume",
        source=volume,
        target=INIT_FOLDER,
        volume_options=VolumeOptions(labels={LABEL_KIND: INIT_KIND}),
    )
    body = ContainerCreateRequest(
        image=image,
        labels={LABEL_RUN_ID: run_id, LABEL_OWNER: str(current_owner()), LABEL_KIND: INIT_KIND},
        host_config=HostConfig(mounts=[mount], network_mode="none", log_config=LogConfig(type="none")),
    )
    try:
        created = await shielded_create(
            "container_create", lambda: engine.container_create(body, name=NAME_PREFIX + run_id)
        )
        # Another process's create may have made the volume a moment ago, and may be copying.
        with trio.move_on_after(_COPY_TIMEOUT):
            while not await _is_whole(engine, created.id, program):  # noqa: ASYNC110 - the daemon has no event for it
                await trio.sleep(_COPY_PAUSE)
            return
    finally:
        await remove_run(engine, run_id)
    raise LightRunnerError(
        LightRunnerErrorCode.CONTAINER_START_FAILED,
        f"the volume {volume} holds something else than lightrunner's init program: remove it",
        docker_op="container_archive_info",
    )


async def _is_whole(engine: EngineClient, container_id: str, program: InitProgram) -> bool:
    try:
        stat = await engine.container_archive_info(container_id, INIT_PATH)
    except EngineNotFound:
        return False
    return stat.size == len(program.data)


def _age(created_at: str, info: SystemInfo) -> float:
    """Return the seconds since a moment by the daemon's clock; 0 where one of the two cannot be read."""
    try:
        return (datetime.fromisoformat(info.system_time) - datetime.fromisoformat(created_at)).total_seconds()
    except (ValueError, TypeError):  # TypeError: one of them without a time zone.
        return 0.0
