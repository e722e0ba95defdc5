"""Save a sandbox's files as an image: a commit of its container, and the workdir's volume on top of it.

A commit leaves volumes out. So the workdir is copied into a second container, which was created from the first commit
and never starts, and that container is committed in turn. Everything happens while the sandbox is paused: the archive
endpoint resolves paths as the host's root, and nothing inside can exchange a folder for a link meanwhile.
"""

import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from lightrunner.engine import ArchiveStream, EngineConflict, EngineNotFound, EngineResponseError
from lightrunner.engine.wire import ContainerConfig, ContainerCreateRequest, HostConfig, ImageConfig, LogConfig
from lightrunner.host.owner import current_owner
from lightrunner.resources import remove_run, shielded_create
from lightrunner.rules import names
from lightrunner.rules.limits import (
    CACHE_KIND,
    CACHE_REPOSITORY,
    CLEANUP_TIMEOUT,
    LABEL_KIND,
    LABEL_OWNER,
    LABEL_RUN_ID,
    NAME_PREFIX,
    SNAPSHOT_TAG_PREFIX,
)
from lightrunner.rules.violation import RuleViolation

from .context import SandboxContext

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
"""A tag has 128 characters at most (distribution/reference)."""


def check_name(field: str, value: object) -> str:
    """Return the tag of a snapshot's name."""
    text = names.check_text(field, value)
    if _NAME.fullmatch(text) is None:
        raise RuleViolation(field, value, "not a name of 1 to 100 letters, digits, '_', '.' and '-'")
    return SNAPSHOT_TAG_PREFIX + text


async def take_snapshot(context: SandboxContext, tag: str) -> str:
    """Pause, commit, copy the workdir, resume. Return the image's reference.

    Raises:
        EngineError: the daemon failed; nothing is left of the attempt but, at the worst, an image without a name, which
            has a cache image's label.
    """
    engine = context.engine
    run_id = str(uuid.uuid4())
    parent, _, _ = context.workdir.rpartition("/")
    try:
        async with _paused(context):
            base = await shielded_create(
                "image_commit",
                lambda: engine.image_commit(context.container_id, _config(context), pause=False),
            )
            body = _scratch(context, base, run_id)
            scratch = await shielded_create(
                "container_create", lambda: engine.container_create(body, name=NAME_PREFIX + run_id)
            )
            async with engine.container_archive(context.container_id, context.workdir) as archive:
                await engine.put_container_archive(scratch.id, parent or "/", _pieces(archive))
        await shielded_create(
            "image_commit",
            lambda: engine.image_commit(scratch.id, _config(context), repo=CACHE_REPOSITORY, tag=tag, pause=False),
        )
    finally:
        await remove_run(engine, run_id)
    return f"{CACHE_REPOSITORY}:{tag}"


@asynccontextmanager
async def _paused(context: SandboxContext) -> AsyncGenerator[None]:
    paused = False
    try:
        await shielded_create("container_pause", lambda: context.engine.container_pause(context.container_id))
        paused = True
        yield
    finally:
        # A cancellation may have come behind the pause. Where it was paused by somebody else, it stays so.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
            try:
                await context.engine.container_unpause(context.container_id)
            except (EngineNotFound, EngineConflict, EngineResponseError):
                if paused:
                    context.session.close("the sandbox could not be resumed after a snapshot")


def _config(context: SandboxContext) -> ImageConfig:
    """Return the image's configuration: its own image's, not that of process 1."""
    image: ContainerConfig = context.image_config
    return ImageConfig(
        user=image.user or "0",
        cmd=image.cmd or [],
        entrypoint=image.entrypoint or [],
        working_dir=context.workdir,
        # A label of the container cannot be left out. The reaper knows that an empty id is nobody's.
        labels={LABEL_KIND: CACHE_KIND, LABEL_RUN_ID: "", LABEL_OWNER: ""},
    )


def _scratch(context: SandboxContext, image: str, run_id: str) -> ContainerCreateRequest:
    """Return the body of the container that the workdir is copied into."""
    return ContainerCreateRequest(
        image=image,
        entrypoint=["-"],  # It never starts.
        cmd=[],
        working_dir=context.workdir,
        labels={LABEL_RUN_ID: run_id, LABEL_OWNER: str(current_owner())},
        host_config=HostConfig(network_mode="none", log_config=LogConfig(type="none")),
    )


async def _pieces(archive: ArchiveStream) -> AsyncIterator[bytes]:
    while data := await archive.receive_some():
        yield data
