"""The image of a run: there, or pulled."""

from .engine import EngineClient, EngineNotFound, ProgressMessage
from .engine.wire import ImageInspectResponse
from .errors import LightRunnerErrorCode, mapped_errors
from .models import Progress, ProgressCallback
from .rules.names import ImageReference


async def ensure_image(
    engine: EngineClient, image: ImageReference, on_progress: ProgressCallback | None
) -> ImageInspectResponse:
    """Look for the image, pull it once where it is missing, and return its configuration.

    Raises:
        LightRunnerError: IMAGE_PULL_FAILED, with the daemon's own sentence.
    """
    with mapped_errors(LightRunnerErrorCode.IMAGE_PULL_FAILED, "image_create"):
        try:
            return await engine.image_inspect(image.text)
        except EngineNotFound:

            def report(message: ProgressMessage) -> None:
                if on_progress is not None:
                    on_progress(
                        Progress(
                            status=message.status,
                            layer=message.id or None,
                            current=message.detail.current,
                            total=message.detail.total,
                        )
                    )

            await engine.image_pull(image.name, tag=image.pull_tag, on_progress=report)
            return await engine.image_inspect(image.text)
