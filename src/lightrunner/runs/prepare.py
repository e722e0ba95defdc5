"""Prepare a run's container, and remove it: image, network, container with its volume, seed, start."""

import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import trio

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound, EngineResponseError
from lightrunner.engine.wire import ContainerConfig, ContainerCreateRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.files.seed import check_source, is_root, link_target, seed
from lightrunner.host.owner import current_owner
from lightrunner.host.state_dir import state_dir
from lightrunner.images.steps import ensure_run_image
from lightrunner.networks.allocation import Allocation, Networks
from lightrunner.networks.pause_containers import PauseContainer
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.resources import remove_run, shielded_create
from lightrunner.results import ProgressCallback
from lightrunner.rules.limits import NAME_PREFIX
from lightrunner.telemetry import container_started

from .container import container_spec
from .demands import check_daemon
from .phases import Phases

T = TypeVar("T")
Adapt = Callable[[ContainerCreateRequest], ContainerCreateRequest]
"""Changes the body of a container create."""


class RunImage(NamedTuple):
    """The image that a run starts from: its reference on the daemon, and its configuration."""

    reference: str
    config: ContainerConfig


class _NetworkGoneError(Exception):
    """The isolated network was removed before the start, or the run's pause container has died."""


class Preparation(Phases):
    """Prepares one container for a checked request.

    Attributes:
        id: the run's id.
        measured: how the run is measured; None: it is not.
        adapt: changes the body of the container create; None: nothing does.
        timings: seconds per phase. Callers add their own phases with `phase`.
    """

    def __init__(
        self,
        engine: EngineClient,
        networks: Networks,
        plan: RunPlan,
        sandbox: Sandbox,
        *,
        on_progress: ProgressCallback | None,
        detached: bool = False,
        adapt: Adapt | None = None,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._networks = networks
        self._plan = plan
        self._sandbox = sandbox
        self._on_progress = on_progress
        self._detached = detached
        self.adapt = adapt
        self._first_allocation: Allocation | None = None
        self._allocation: Allocation | None = None
        self._network_was_renewed = False
        self._mount_at = ""  # The volume's mount point, if the workdir is a link that the daemon does not follow.
        self._may_exist = False  # Whether the daemon may have a container or a volume of this run.

    async def ensure_image(self) -> RunImage:
        """Pull or build the image, unless the daemon has it. Call it before `use_container`."""
        await check_source(self._plan.source)
        with self.phase("image"):
            image, found = await ensure_run_image(self._engine, self._plan, self._sandbox, self._on_progress)
        return RunImage(image, found.config or ContainerConfig())

    async def use_container(
        self, image: RunImage | None, use: Callable[[str], Awaitable[T]], *, allocation: Allocation | None = None
    ) -> T:
        """Create and seed a container, and call `use` with its id; `use` calls `start`.

        If the isolated network was removed meanwhile, or the pause container has died, try once more from the create.

        Args:
            image: what `ensure_image` returned; None: inspect the image while the container is created.
            use: starts the container and uses it.
            allocation: the network for the first attempt. The caller releases it.
        """
        self._first_allocation = allocation
        try:
            return await use(await self._make(image))
        except _NetworkGoneError:
            self._network_was_renewed = True
            self._networks.forget_isolated()
            await self.remove()
            return await use(await self._make(image))

    @property
    def pause_container(self) -> PauseContainer | None:
        """The pause container whose network the container joins; None without a prepared network."""
        return self._allocation.pause_container if self._allocation is not None else None

    @property
    def mount_point(self) -> str:
        """Where the run's volume is mounted: the workdir, or what a link in its place leads to."""
        return self._mount_at or self._plan.workdir

    async def start(self, container_id: str) -> None:
        """Start the container.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED, with the daemon's message.
        """
        with (
            self.phase("start"),
            mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_start", container_id=container_id),
            self._renewable_network(),
        ):
            # The daemon refuses an unknown network here, not at the create.
            await self._engine.container_start(container_id)
        container_started(container_id)

    async def remove(self) -> bool:
        """Remove the container and its volume, if they exist. Shielded and bounded.

        Returns:
            Whether both are gone.
        """
        if self._may_exist:
            with self.phase("cleanup"):
                self._may_exist = not await remove_run(self._engine, self.id)
        if self._allocation is not None:
            self._networks.release(self._plan.network, self._allocation)
            self._allocation = None
        return not self._may_exist

    @contextmanager
    def _renewable_network(self) -> Generator[None]:
        """Turn the first error that names this run's isolated or prepared network into `_NetworkGoneError`."""
        try:
            yield
        except EngineResponseError as error:
            allocation = self._allocation
            ours = allocation is not None and (self._plan.network is None or allocation.pause_container is not None)
            if allocation is None or not ours or self._network_was_renewed:
                raise
            if not any(name in error.message for name in _network_names(allocation)):
                raise
            raise _NetworkGoneError from error

    async def _make(self, image: RunImage | None) -> str:
        """Create and seed a container. Return its id."""
        await check_daemon(self._engine, self._sandbox)
        if image is None and self._sandbox.read_only:
            image = await self.ensure_image()
        if image is not None and self._sandbox.read_only and not is_root(self._user(image)):
            return await self._make_read_only(image)
        return await self._create_and_seed(image)

    async def _make_read_only(self, image: RunImage) -> str:
        """Seed the volume through a container with a writable root, then replace that with the run's own.

        The workdir of another user than root is seeded through its parent, and the daemon unpacks no archive into a
        read-only root.
        """
        sandbox, self._sandbox = self._sandbox, self._sandbox._replace(read_only=False)
        try:
            container_id = await self._create_and_seed(image)
        finally:
            self._sandbox = sandbox
        with self.phase("create"), mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_delete"):
            await self._engine.container_delete(container_id, force=True, volumes=True)
        return await self._create(image.reference)

    def _user(self, image: RunImage) -> str:
        return self._plan.user or image.config.user

    async def _create_and_seed(self, image: RunImage | None) -> str:
        """Create and seed a container. Return its id."""
        if image is None:
            container_id, image = await self._create_and_inspect()
        else:
            container_id = await self._create(image.reference)
        try:
            await self._seed(container_id, image)
        except LightRunnerError as error:
            cause = error.__cause__
            if not isinstance(cause, EngineResponseError) or cause.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            container_id = await self._create_behind_link(image, error)
            await self._seed(container_id, image)
        return container_id

    async def _seed(self, container_id: str, image: RunImage) -> None:
        with self.phase("seed"):
            await seed(
                self._engine,
                container_id,
                source=self._plan.source,
                ignore=self._plan.ignore,
                workdir=self._mount_at or self._plan.workdir,
                user=self._user(image),
            )

    async def _create_behind_link(self, image: RunImage, error: LightRunnerError) -> str:
        """Create the container with its volume at the target of the workdir, which is a link in the image.

        Docker 28.5 refuses all archive calls on a container with a volume mounted at a link ("path escapes from
        parent"), so a container without the volume is created first, to read the link.
        """
        if self._mount_at:
            raise error
        await self.remove()
        probe = await self._create(image.reference, mount_at=None)
        self._mount_at = await link_target(self._engine, probe, self._plan.workdir)
        await self.remove()
        if not self._mount_at:
            raise error
        return await self._create(image.reference)

    async def _create_and_inspect(self) -> tuple[str, RunImage]:
        """Create the container while inspecting its image, which saves the time of one call if the image exists."""
        await check_source(self._plan.source)
        image = self._plan.image.text
        found: list[ContainerConfig] = []

        async def inspect() -> None:
            with mapped_errors(LightRunnerErrorCode.IMAGE_PULL_FAILED, "image_inspect"):
                try:
                    found.append((await self._engine.image_inspect(image)).config or ContainerConfig())
                except EngineNotFound:
                    return

        container_id, refusal = "", None
        async with open_bare_nursery() as nursery:
            nursery.start_soon(protected, inspect)
            try:
                container_id = await self._create(image)
            except LightRunnerError as error:
                if not isinstance(error.__cause__, EngineNotFound):
                    raise
                refusal = error
        if found:
            if refusal is not None:
                raise refusal
            return container_id, RunImage(image, found[0])
        await self.remove()  # The image may have been removed between the two responses.
        ensured = await self.ensure_image()
        return await self._create(ensured.reference), ensured

    async def _allocate(self) -> Allocation:
        with self.phase("network"):
            # A detached run may outlive the block that owns the prepared network.
            prepared = not (self._detached or self._network_was_renewed or self._plan.names_hosts)
            first, self._first_allocation = self._first_allocation, None
            return first or await self._networks.allocate(self._plan.network, prepared=prepared)

    async def _create(self, image: str, *, mount_at: str | None = "") -> str:
        """Create the container and its volume. Return the container's id. `mount_at` is as for `container_spec`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._allocation is None:
            self._allocation = await self._allocate()
        body = container_spec(
            self._plan,
            self._sandbox,
            image=image,
            run_id=self.id,
            network_mode=self._allocation.mode,
            owner=str(current_owner()),
            targets=_staging_folders(self._plan),
            state_dir=str(state_dir().absolute()) if self._detached else None,
            mount_at=None if mount_at is None else self._mount_at,
            measured=self.measured,
        )
        if self.adapt is not None:
            body = self.adapt(body)
        name = NAME_PREFIX + self.id
        with self.phase("create"):
            self._may_exist = True
            with _create_errors(name), self._renewable_network():
                created = await shielded_create(
                    "container_create",
                    lambda: self._engine.container_create(body, name=name, platform=self._plan.platform),
                )
        return created.id


def _network_names(allocation: Allocation) -> list[str]:
    """Return the names that the daemon's errors use for a network: its id, or a pause container's id or name (28.5)."""
    pause_container = allocation.pause_container
    pause_name = [NAME_PREFIX + pause_container.id] if pause_container is not None else []
    return [allocation.mode.removeprefix("container:"), *pause_name]


def _staging_folders(plan: RunPlan) -> list[str]:
    return sorted({os.path.abspath(entry.target) for entry in plan.extracts if entry.target})  # noqa: PTH100  # keeps links


@contextmanager
def _create_errors(name: str) -> Generator[None]:
    """Raise VOLUME_CREATE_FAILED if the error names the volume, which the daemon creates with the container."""
    try:
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_create"):
            yield
    except LightRunnerError as error:
        cause = error.__cause__
        is_conflict = isinstance(cause, EngineConflict)  # The container's name, which the volume shares, is taken.
        if isinstance(cause, EngineResponseError) and name in cause.message and not is_conflict:
            error.code = LightRunnerErrorCode.VOLUME_CREATE_FAILED
        if "storage-opt" in error.message:
            error.message = f"disk: the daemon's storage cannot limit a container's disk: {error.message}"
        raise
