"""Make sure of a run's image: find it on the daemon, or pull it from its registry."""

import logging
import os

from lightrunner.engine import (
    EngineClient,
    EngineCredentialsError,
    EngineEndpointError,
    EngineNotFound,
    EngineResponseError,
    ProgressMessage,
    RegistryAuth,
    find_credentials,
    registry_of,
)
from lightrunner.engine.wire import ImageInspectResponse
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.results import Progress, ProgressCallback

_log = logging.getLogger("lightrunner")


async def ensure_image(
    engine: EngineClient, plan: RunPlan, sandbox: Sandbox, on_progress: ProgressCallback | None
) -> ImageInspectResponse:
    """Find the image or pull it, as the request's `pull` says. Return its configuration.

    An image of another platform than the request's is pulled as a missing one is.

    Raises:
        LightRunnerError: IMAGE_PULL_FAILED, with the daemon's message.
    """
    image, platform = plan.image, plan.platform
    with mapped_errors(LightRunnerErrorCode.IMAGE_PULL_FAILED, "image_create"):
        found = await _find(engine, image.text) if plan.pull != "always" else None
        if found is not None and (platform is None or _is_of(found, platform)):
            return found
        if plan.pull == "never":
            wanted = image.text if platform is None else f"{image.text} for {platform}"
            raise _failure(f"the daemon does not have {wanted}, and pull is 'never'")
        await _pull(engine, plan, sandbox, on_progress)
        found = await engine.image_inspect(image.text)
    if platform is not None and not _is_of(found, platform):
        # A registry's image of a single platform comes whatever was asked for, and 20.10 builds on it.
        raise _failure(f"{image.text} is for {found.os}/{found.architecture}, and there is none for {platform}")
    return found


def progress_of(message: ProgressMessage) -> Progress:
    """Return the engine's message in the runner's terms."""
    return Progress(
        status=message.status,
        layer=message.id or None,
        current=message.detail.current,
        total=message.detail.total,
    )


async def _find(engine: EngineClient, image: str) -> ImageInspectResponse | None:
    try:
        return await engine.image_inspect(image)
    except EngineNotFound:
        return None


async def _pull(engine: EngineClient, plan: RunPlan, sandbox: Sandbox, on_progress: ProgressCallback | None) -> None:
    """Pull with the registry's credentials. Where they cannot be read, as ``docker pull`` does, without any."""

    def report(message: ProgressMessage) -> None:
        if on_progress is not None:
            on_progress(progress_of(message))

    image = plan.image
    trouble = ""
    auth: RegistryAuth | None = None
    try:
        auth = await find_auth(image.name, sandbox)
    except (EngineCredentialsError, EngineEndpointError) as error:
        trouble = f" (no credentials were sent: {error})"
        _log.warning("pulling %s without credentials: %s", image.text, error)
    try:
        await engine.image_pull(image.name, tag=image.pull_tag, platform=plan.platform, auth=auth, on_progress=report)
    except EngineResponseError as error:
        raise _failure(f"{image.text}: {error}{trouble}") from error


async def find_auth(name: str, sandbox: Sandbox) -> RegistryAuth | None:
    """Return the runner's own credentials for the registry of an image's name, or the Docker CLI's.

    Raises:
        EngineCredentialsError: the CLI's cannot be read. EngineEndpointError: neither can its config file.
    """
    registry = registry_of(name)
    given = sandbox.registry_auth.get(registry)
    return given if given is not None else await find_credentials(registry, os.environ)


def _failure(message: str) -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.IMAGE_PULL_FAILED, message, docker_op="image_create")


def _is_of(image: ImageInspectResponse, platform: str) -> bool:
    os_, _, rest = platform.partition("/")
    architecture = rest.partition("/")[0]
    return image.os == os_ and architecture in ("", image.architecture)
