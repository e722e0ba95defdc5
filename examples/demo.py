"""Run a project folder in a container: JSON in, logs as they come, a file out. `./dev demo` starts it."""

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec
import trio

from lightrunner import DockerRunner, ExtractSpec, LogLine, RunRequest

PROJECT = Path(__file__).parent / "my-project"


def show(line: LogLine) -> None:
    """Print a line the moment the container wrote it."""
    print(f"{line.stream:>6} | {line.text}", flush=True)


async def main(host: str | None, image: str, out: Path) -> bool:
    """Run the project, print what came back, and tell whether it succeeded."""
    request = RunRequest(
        image=image,
        entrypoint="python main.py",
        dir=PROJECT,
        input={"task": "compute", "n": 20},
        timeout=30.0,
        extract=[ExtractSpec("/app/result.json", out)],
    )
    async with DockerRunner(memory="512m", cpus=1, host=host) as runner:
        result = await runner.run(request, on_log=show)

    print(f"exit code {result.exit_code} after {result.duration:.2f} s")
    for phase, seconds in msgspec.structs.asdict(result.timings).items():
        print(f"{phase:>10} {seconds * 1000:7.1f} ms")
    if result.success:
        print("result.json:", (out / "result.json").read_text())
    return result.success


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", help="the engine's URL; default: DOCKER_HOST, then the usual sockets")
    parser.add_argument("--image", default="python:3.12-alpine", help="an image with Python (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if trio.run(main, options.host, options.image, Path(folder)) else 1)
