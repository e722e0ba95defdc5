"""One probe in a process of its own: ``python -m bench.probes NAME HOST IMAGE FOLDER`` prints its peak memory in MB."""

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from lightrunner import DockerRunner, ExtractSpec, LogLine, RunRequest

_SIZE = 1 << 30
_MORE = 2 * _SIZE


async def nothing(runner: DockerRunner, image: str, _folder: Path) -> None:
    """A run that does nothing: what all the others have on top of."""
    (await runner.run(RunRequest(image=image, entrypoint="true", network="none"))).check()


async def seed(runner: DockerRunner, image: str, folder: Path) -> None:
    """1 GiB in, as one file. It is sparse: the disk is not what is measured."""
    source = folder / "in"
    source.mkdir()
    with (source / "big.bin").open("wb") as file:
        file.truncate(_SIZE)
    command = f'test "$(stat -c %s big.bin)" = {_SIZE}'
    (await runner.run(RunRequest(image=image, entrypoint=command, network="none", dir=source))).check()


async def logs(runner: DockerRunner, image: str, _folder: Path) -> None:
    """1 GiB of output in lines of 70 bytes, to a callback."""
    seen = 0

    def count(line: LogLine) -> None:
        nonlocal seen
        seen += len(line.text) + 1

    command = f"yes {'x' * 69} | head -c {_SIZE}"
    (await runner.run(RunRequest(image=image, entrypoint=command, network="none"), on_log=count)).check()
    assert abs(seen - _SIZE) <= 1, f"{seen} bytes came"


async def extract(runner: DockerRunner, image: str, folder: Path) -> None:
    """1 GiB out, as one file."""
    out = folder / "out"
    request = RunRequest(
        image=image,
        entrypoint=f"truncate -s {_SIZE} big.bin",
        network="none",
        extract=[ExtractSpec("big.bin", out)],
    )
    result = (await runner.run(request)).check()
    assert (out / "big.bin").stat().st_size == _SIZE, result.extracted


PROBES: dict[str, Callable[[DockerRunner, str, Path], Awaitable[None]]] = {
    probe.__name__: probe for probe in (nothing, seed, logs, extract)
}


def peak_megabytes() -> float:
    """The most memory that this process ever had.

    Not ``ru_maxrss``: a process inherits that from the one that started it, and a large one starts this one.
    """
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6


async def main(name: str, host: str, image: str, parent: str) -> None:
    """Run a probe in a folder of its own."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        async with DockerRunner(host=host, max_extract_bytes=_MORE) as runner:
            await PROBES[name](runner, image, folder)
        print(peak_megabytes())
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    _, name, host, image, folder = sys.argv
    trio.run(main, name, host, image, folder)
