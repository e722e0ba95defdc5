"""The image with the program alone."""

import io
import tarfile

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.rules.limits import INIT_KIND, INIT_PATH, INIT_REPOSITORY, LABEL_KIND

from .program import InitProgram


async def ensure_init_image(engine: EngineClient, program: InitProgram) -> str:
    """Import the image, unless the daemon has it. It stays on the daemon. Its containers pause for ever by default.

    Raises:
        EngineError: the daemon failed.
    """
    image = f"{INIT_REPOSITORY}:{program.digest}"
    try:
        await engine.image_inspect(image)
    except EngineNotFound:
        changes = [f'ENTRYPOINT ["{INIT_PATH}"]', 'CMD ["pause"]', f"LABEL {LABEL_KIND}={INIT_KIND}"]
        await engine.image_import(_rootfs(program.data), repo=INIT_REPOSITORY, tag=program.digest, changes=changes)
    return image


def _rootfs(program: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo(INIT_PATH.removeprefix("/"))
        info.size = len(program)
        info.mode = 0o755
        tar.addfile(info, io.BytesIO(program))
    return archive.getvalue()
