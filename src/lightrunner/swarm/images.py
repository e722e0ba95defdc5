"""The image of a service: a request's own, or one of its setup steps that all nodes can pull.

Setup steps are built on a manager, as on one machine, and pushed to the runner's repository under their cache tag. The
service names the image by its digest, so all nodes run the same. What the registry has already is not built again.
"""

import logging
import re
from contextlib import suppress

import trio

from lightrunner.engine import EngineClient, EngineError, EngineNotFound, EngineResponseError, RegistryAuth
from lightrunner.errors import LightRunnerErrorCode, mapped_errors
from lightrunner.images.pull import find_auth, progress_of
from lightrunner.images.steps import ensure_run_image
from lightrunner.plan import RunPlan
from lightrunner.results import ProgressCallback
from lightrunner.rules.dockerfile import cache_tag
from lightrunner.rules.limits import CLEANUP_TIMEOUT

from .cluster import Cluster

_log = logging.getLogger("lightrunner")

_HIDDEN = re.compile("denied|unauthorized|no basic auth")
"""What is said of an image that is not there by a registry that tells nobody else what it has. (The status is 500 on
20.10.) If the registry means it, the push fails as well."""


class ServiceImages:
    """The images of one runner's services.

    Args:
        cluster: whose managers build and push; the options say where to.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pushed: dict[str, str] = {}
        self._locks: dict[str, trio.Lock] = {}

    async def ensure(self, plan: RunPlan, on_progress: ProgressCallback | None) -> str:
        """Return the reference of a request's image for its service; build and push setup steps first.

        Raises:
            LightRunnerError: IMAGE_PULL_FAILED or BUILD_FAILED, the latter also for a push.
        """
        if not plan.steps:
            return plan.image.text
        repository = self._cluster.options.image_repository
        assert repository is not None, "check_swarm_request lets no steps through without a repository"
        tag = cache_tag(plan.image.text, plan.steps, plan.platform).rpartition(":")[2]
        async with self._locks.setdefault(tag, trio.Lock()):
            if tag not in self._pushed:
                digest = await self._ensure_pushed(plan, repository, tag, on_progress)
                self._pushed[tag] = f"{repository}@{digest}"
        return self._pushed[tag]

    async def _ensure_pushed(
        self, plan: RunPlan, repository: str, tag: str, on_progress: ProgressCallback | None
    ) -> str:
        """Return the digest of the image that a tag of the repository has; build and push it if there is none."""
        with mapped_errors(LightRunnerErrorCode.BUILD_FAILED, "distribution_inspect"):
            manager = await self._cluster.managers.answering()
            auth = await find_auth(repository, self._cluster.sandbox)
            try:
                return await manager.distribution_inspect(f"{repository}:{tag}", auth=auth)
            except EngineNotFound:
                pass
            except EngineResponseError as error:
                if _HIDDEN.search(error.message) is None:
                    raise
        image, _ = await ensure_run_image(manager, plan, self._cluster.sandbox, on_progress)
        with mapped_errors(LightRunnerErrorCode.BUILD_FAILED, "image_push"):
            try:
                await _push(manager, image, (repository, tag), auth, on_progress)
            except EngineResponseError:
                # Another process may have pushed the same meanwhile, and have removed the name.
                with suppress(EngineResponseError):
                    return await manager.distribution_inspect(f"{repository}:{tag}", auth=auth)
                raise
            return await manager.distribution_inspect(f"{repository}:{tag}", auth=auth)


async def _push(
    manager: EngineClient,
    image: str,
    name: tuple[str, str],
    auth: RegistryAuth | None,
    on_progress: ProgressCallback | None,
) -> None:
    """Push an image under a name that it has only meanwhile: the clean-up of the cache spares what has other names."""
    repository, tag = name
    try:
        await manager.image_tag(image, repo=repository, tag=tag)
        await manager.image_push(
            repository,
            tag=tag,
            auth=auth,
            on_progress=None if on_progress is None else lambda message: on_progress(progress_of(message)),
        )
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
            await _untag(manager, f"{repository}:{tag}")


async def _untag(manager: EngineClient, name: str) -> None:
    try:
        await manager.image_delete(name, no_prune=True)
    except EngineNotFound:
        pass
    except EngineError as error:
        _log.warning("the name %s of a pushed image could not be removed: %s", name, error)
