"""Prepare a run up to the start of its container: image, network, container with its volume, seed; and remove them."""

import os
import time
import uuid
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import trio

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound, EngineResponseError
from lightrunner.engine.wire import ContainerConfig
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.files.seed import check_source, link_target, seed
from lightrunner.host.owner import current_owner
from lightrunner.host.state_dir import state_dir
from lightrunner.images.steps import ensure_run_image
from lightrunner.networks.allocation import Allocation, Networks
from lightrunner.networks.pause_containers import PauseContainer
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.resources import remove_run, shielded_create
from lightrunner.results import ProgressCallback, Timings
from lightrunner.rules.limits import NAME_PREFIX

from .container import container_spec

T = TypeVar("T")


class RunImage(NamedTuple):
    """The image that a run starts from: a reference that the daemon knows, and the image's configuration."""

    reference: str
    config: ContainerConfig


class _NetworkGoneError(Exception):
    """The isolated network was removed before the start, or the run's pause container has died."""


class Preparation:
    """Makes one container ready for a checked request.

    Attributes:
        id: the run's id.
        timings: the seconds of each phase, the callers' phases included.
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
    ) -> None:
        self.id = str(uuid.uuid4())
        self.timings = Timings()
        self._engine = engine
        self._networks = networks
        self._plan = plan
        self._sandbox = sandbox
        self._on_progress = on_progress
        self._detached = detached
        self._given: Allocation | None = None
        self._allocation: Allocation | None = None
        self._network_was_renewed = False
        self._mount_at = ""  # Where the volume is mounted, if the workdir is a link that the daemon does not follow.
        self._may_exist = False  # Whether the daemon may have something of this run.

    async def ensure_image(self) -> RunImage:
        """Pull or build the image, unless the daemon has it. Nothing of the run exists yet."""
        await check_source(self._plan.source)
        with self.phase("image"):
            image, found = await ensure_run_image(
                self._engine, self._plan, self._sandbox.build_timeout, self._on_progress
            )
        return RunImage(image, found.config or ContainerConfig())

    async def use_container(
        self, image: RunImage | None, use: Callable[[str], Awaitable[T]], *, allocation: Allocation | None = None
    ) -> T:
        """Create and seed a container, and call `use` with its id; `use` calls `start`.

        If the isolated network was removed meanwhile, or the prepared one has died, all of this is done once more.

        Args:
            image: what `ensure_image` returned; None: inspect the image while the container is created.
            use: starts the container and uses it.
            allocation: the network for the first attempt. The caller releases it.
        """
        self._given = allocation
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

    async def remove(self) -> bool:
        """Remove the container and its volume, whichever exist. Shielded and bounded.

        Returns:
            Whether nothing of the run is left.
        """
        if self._may_exist:
            with self.phase("cleanup"):
                self._may_exist = not await remove_run(self._engine, self.id)
        if self._allocation is not None:
            self._networks.release(self._plan.network, self._allocation)
            self._allocation = None
        return not self._may_exist

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Add the time of the block to a field of `timings`."""
        begin = time.monotonic()
        try:
            yield
        finally:
            setattr(self.timings, name, getattr(self.timings, name) + time.monotonic() - begin)

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
            if not any(name in error.message for name in _names(allocation)):
                raise
            raise _NetworkGoneError from error

    async def _make(self, image: RunImage | None) -> str:
        """Create and seed a container. Return its id."""
        if image is None:
            container_id, image = await self._create_and_look()
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
                user=image.config.user,
            )

    async def _create_behind_link(self, image: RunImage, error: LightRunnerError) -> str:
        """Create the container with its volume at what the workdir, a link in the image, points to.

        Docker 28.5 refuses all archive calls on a container with a volume mounted at a link ("path escapes from
        parent"). Only a container without the volume tells where the link leads.
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

    async def _create_and_look(self) -> tuple[str, RunImage]:
        """Create the container and inspect its image at once, which saves the time of one call if the image exists."""
        await check_source(self._plan.source)
        image = self._plan.image.text
        found: list[ContainerConfig] = []

        async def look() -> None:
            with mapped_errors(LightRunnerErrorCode.IMAGE_PULL_FAILED, "image_inspect"):
                try:
                    found.append((await self._engine.image_inspect(image)).config or ContainerConfig())
                except EngineNotFound:
                    return

        container_id, refusal = "", None
        async with open_bare_nursery() as nursery:
            nursery.start_soon(protected, look)
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

    async def _create(self, image: str, *, mount_at: str | None = "") -> str:
        """Create the container and its volume. Return the container's id. `mount_at` is as for `container_spec`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self.phase("network"):
            # A detached run may outlive its runner, and a prepared network ends with its block.
            prepared = not (self._detached or self._network_was_renewed)
            given, self._given = self._given, None
            self._allocation = given or await self._networks.allocate(self._plan.network, prepared=prepared)
        body = container_spec(
            self._plan,
            self._sandbox,
            image=image,
            run_id=self.id,
            network_mode=self._allocation.mode,
            owner=str(current_owner()),
            targets=_staging_places(self._plan),
            state_dir=str(state_dir().absolute()) if self._detached else None,
            mount_at=None if mount_at is None else self._mount_at,
        )
        name = NAME_PREFIX + self.id
        with self.phase("create"):
            self._may_exist = True
            with _create_errors(name), self._renewable_network():
                created = await shielded_create(
                    "container_create",
                    lambda: self._engine.container_create(body, name=name, platform=self._plan.platform),
                )
        return created.id


def _names(allocation: Allocation) -> list[str]:
    """What the daemon may call a network: the mode's own, and a pause container also by its name (28.5)."""
    pause_container = allocation.pause_container
    held_by = [NAME_PREFIX + pause_container.id] if pause_container is not None else []
    return [allocation.mode.removeprefix("container:"), *held_by]


def _staging_places(plan: RunPlan) -> list[str]:
    return sorted({os.path.abspath(entry.target) for entry in plan.extracts if entry.target})  # noqa: PTH100  # keeps links


@contextmanager
def _create_errors(name: str) -> Generator[None]:
    """Give an error that names the volume its own code: a create makes the volume, too."""
    try:
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_create"):
            yield
    except LightRunnerError as error:
        cause = error.__cause__
        is_conflict = isinstance(cause, EngineConflict)  # The container's name, which the volume shares, is taken.
        if isinstance(cause, EngineResponseError) and name in cause.message and not is_conflict:
            error.code = LightRunnerErrorCode.VOLUME_CREATE_FAILED
        raise
