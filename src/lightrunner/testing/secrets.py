"""Take a run's secrets as the init program does (`lightrunner.rules.secrets`), and become its command."""

import struct
from typing import Final

from lightrunner.rules.limits import INIT_FOLDER, SECRETS_FOLDER
from lightrunner.rules.secrets import READY

from .containers import FakeContainer

_PROGRAM: Final = [f"{INIT_FOLDER}/init", "secrets"]
_EXIT_FAILED: Final = 125


async def take_secrets(container: FakeContainer) -> int | None:
    """Write the secrets, if the container's command is to take some, and set `argv` to the run's command.

    Returns:
        The exit code if stdin ended first; otherwise None.
    """
    if container.argv[:2] != _PROGRAM:
        return None
    container.argv = container.argv[2:]
    try:
        (count,) = struct.unpack("<I", await _exactly(container, 4))
        for _ in range(count):
            name_size, size = struct.unpack("<II", await _exactly(container, 8))
            name = (await _exactly(container, name_size)).decode()
            container.files.write(f"{SECRETS_FOLDER}/{name}", await _exactly(container, size), mode=0o400)
        await container.stdout(READY)
        if await _exactly(container, 1) == b"n":
            await container.stdin()  # Its input is /dev/null; what the client sends is an end.
    except EOFError:
        return _EXIT_FAILED
    return None


def forget_secrets(container: FakeContainer) -> None:
    """Remove the secrets. A tmpfs ends with its container."""
    if container.files.exists(SECRETS_FOLDER):
        container.files.remove(SECRETS_FOLDER)


async def _exactly(container: FakeContainer, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await container.stdin_some(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
