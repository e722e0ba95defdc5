"""List cache images, and remove those that have not been used for a long time."""

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

import trio

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound
from lightrunner.engine.wire import ImageSummary
from lightrunner.errors import LightRunnerErrorCode, mapped_errors
from lightrunner.results import CacheCleanup, CacheImage
from lightrunner.rules.limits import CACHE_KIND, CACHE_REPOSITORY, LABEL_KIND

from . import cache_usage

_CACHE = {"label": [f"{LABEL_KIND}={CACHE_KIND}"]}


async def list_cache(engine: EngineClient) -> list[CacheImage]:
    """Return the cache images, those that were used last first.

    Raises:
        LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
    """
    uses = await trio.to_thread.run_sync(cache_usage.last_uses)
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "image_list"):
        found = await engine.image_list(filters=_CACHE)
    images = [
        CacheImage(
            tag=name,
            size_bytes=image.size,
            created=datetime.fromtimestamp(image.created, UTC),
            last_used=datetime.fromtimestamp(uses[name], UTC) if name in uses else None,
        )
        for image in found
        for name in _names(image)
    ]
    return sorted(images, key=lambda image: (image.last_used or image.created, image.tag), reverse=True)


async def cleanup_cache(engine: EngineClient, max_age: float) -> CacheCleanup:
    """Remove cache images that were not used for `max_age` seconds and that no container uses.

    For an image without a recorded use, the time of its creation counts.

    Raises:
        LightRunnerError: RUN_FAILED or DOCKER_UNREACHABLE: the daemon failed.
    """
    uses = await trio.to_thread.run_sync(cache_usage.last_uses)
    removed: list[str] = []
    freed = 0
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "image_delete"):
        for image in await engine.image_list(filters=_CACHE):
            for name in _names(image):
                # The wall clock: other processes recorded the uses, some of them before a reboot.
                if time.time() - uses.get(name, image.created) >= max_age:
                    size = await _remove(engine, image, name)
                    if size is not None:
                        removed.append(name)
                        freed += size
    if removed:
        await trio.to_thread.run_sync(cache_usage.forget, set(removed))
    return CacheCleanup(tuple(removed), freed)


def _names(image: ImageSummary) -> Iterable[str]:
    """Return the image's cache tags, or its id without any tag: of two builds of the same steps, one loses its tag."""
    tags = [tag for tag in image.repo_tags or [] if tag != "<none>:<none>"]
    if not tags:
        return [image.id]
    # A tag that a user has added is kept, and with it the image.
    return [tag for tag in tags if tag.startswith(f"{CACHE_REPOSITORY}:")]


def _digests(image: ImageSummary) -> Iterable[str]:
    """Return the names by digest, which keep a cache image that was pushed for a swarm, unless a user has tagged it."""
    return image.repo_digests or [] if _names(image) == image.repo_tags else []


async def _remove(engine: EngineClient, image: ImageSummary, name: str) -> int | None:
    """Remove a name of an image. Return the freed bytes; None if a container uses the image, or it is gone already."""
    try:
        sizes = await _sizes(engine, image.id)
        for digest in _digests(image):
            with suppress(EngineNotFound):  # It has gone with another tag of the image.
                await engine.image_delete(digest, no_prune=True)
        deleted = {item.deleted for item in await engine.image_delete(name)}
    except (EngineConflict, EngineNotFound):
        return None
    if image.id not in deleted:
        return 0  # The image has other names.
    kept = next((size for ancestor, size in sizes if ancestor not in deleted), 0)
    return max(0, image.size - kept)


async def _sizes(engine: EngineClient, image_id: str) -> list[tuple[str, int]]:
    """Return ids and sizes of an image and its ancestors. An image's size includes its ancestors' layers."""
    sizes: list[tuple[str, int]] = []
    while image_id:
        try:
            image = await engine.image_inspect(image_id)
        except EngineNotFound:
            break
        sizes.append((image.id, image.size))
        image_id = image.parent
    return sizes
