"""Programs that several tests of the contract run, for the fake engine; the shell text is beside each."""

import trio

from lightrunner.testing import FakeContainer, Program

SLEEP = "echo ready; exec sleep 300"
STUBBORN = "trap '' TERM; echo ready; sleep 300 & wait; sleep 300"
POLITE = "trap 'echo bye; exit 7' TERM; echo ready; sleep 300 & wait"


async def sleep(container: FakeContainer) -> None:
    """`SLEEP`."""
    await container.stdout(b"ready\n")
    await trio.sleep(300)


async def polite(container: FakeContainer) -> int:
    """`POLITE`."""
    terminated = container.trap("SIGTERM")
    await container.stdout(b"ready\n")
    await terminated.wait()
    await container.stdout(b"bye\n")
    return 7


async def nothing(container: FakeContainer) -> None:
    """`true`."""


def prints(out: bytes = b"", err: bytes = b"", code: int = 0) -> Program:
    """Make a program that prints, and exits with a code."""

    async def program(container: FakeContainer) -> int:
        await container.stdout(out)
        await container.stderr(err)
        return code

    return program


def writes(files: dict[str, bytes]) -> Program:
    """Make a program that writes files, by paths relative to its workdir."""

    async def program(container: FakeContainer) -> None:
        for path, data in files.items():
            container.files.write(path, data)

    return program
