"""Make sure of a run's image: find it, or pull it."""

from lightrunner.engine import EngineClient, EngineNotFound, ProgressMessage
from lightrunner.engine.wire import ImageInspectResponse
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.results import Progress, ProgressCallback
from lightrunner.rules.names import ImageReference


async def ensure_image(
    engine: EngineClient, image: ImageReference, platform: str | None, on_progress: ProgressCallback | None
) -> ImageInspectResponse:
    """Return the image's configuration. Pull the image once if it is missing or of another platform.

    Raises:
        LightRunnerError: IMAGE_PULL_FAILED, with the daemon's own sentence.
    """
    with mapped_errors(LightRunnerErrorCode.IMAGE_PULL_FAILED, "image_create"):
        try:
            found = await engine.image_inspect(image.text)
            if platform is None or _is_of(found, platform):
                return found
        except EngineNotFound:
            pass  # Pulled below, as one of another platform is.

        def report(message: ProgressMessage) -> None:
            if on_progress is not None:
                on_progress(progress_of(message))

        await engine.image_pull(image.name, tag=image.pull_tag, platform=platform, on_progress=report)
        found = await engine.image_inspect(image.text)
    if platform is not None and not _is_of(found, platform):
        # A registry's image of a single platform comes whatever was asked for, and 20.10 builds on it.
        message = f"{image.text} is of {found.os}/{found.architecture}, and there is none of {platform}"
        raise LightRunnerError(LightRunnerErrorCode.IMAGE_PULL_FAILED, message, docker_op="image_create")
    return found


def progress_of(message: ProgressMessage) -> Progress:
    """The engine's message in the runner's words."""
    return Progress(
        status=message.status,
        layer=message.id or None,
        current=message.detail.current,
        total=message.detail.total,
    )


def _is_of(image: ImageInspectResponse, platform: str) -> bool:
    os, _, rest = platform.partition("/")
    architecture = rest.partition("/")[0]
    return image.os == os and architecture in ("", image.architecture)
