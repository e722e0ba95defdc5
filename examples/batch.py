"""A batch that outlives its process: start it, go away, come back and collect.

    python examples/batch.py start 1 2 3 4     prints one run id per number, and returns
    python examples/batch.py collect           waits for all runs of this host, and copies their results to out/

The state of the runs is in LIGHT_RUNNER_STATE_DIR. A crash between the two commands loses nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, RunRequest, RunState

PROGRAM = "import sys, time; n = int(sys.argv[1]); time.sleep(0.2); open('square', 'w').write(str(n * n))"


async def start(host: str | None, image: str, numbers: Sequence[int], out: Path) -> list[str]:
    """Start one detached run per number; return their ids."""
    ids: list[str] = []
    async with DockerRunner(memory="128m", host=host) as runner:
        for number in numbers:
            request = RunRequest(
                image=image,
                entrypoint=f'exec python -c "$PROGRAM" {number}',
                env={"PROGRAM": PROGRAM},
                network="none",
                timeout=3600.0,
                extract=[ExtractSpec("square", out / str(number))],
            )
            ids.append(await runner.detach(request))
    return ids


async def collect(host: str | None) -> None:
    """Attach to every run that this host knows of, all at once, and say how each ended."""

    async def attach(state: RunState) -> None:
        try:
            result = await runner.attach(state.id)
        except LightRunnerError as error:
            print(f"{state.id}: {error}")
        else:
            print(f"{state.id}: {result.explain()}")

    async with DockerRunner(host=host) as runner, trio.open_nursery() as nursery:
        for state in await runner.list():
            nursery.start_soon(attach, state)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", help="the daemon's URL; default: as lightrunner chooses")
    parser.add_argument("--image", default="python:3.12-alpine", help="an image with Python")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the results go")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start", help="start the runs").add_argument("numbers", nargs="+", type=int)
    commands.add_parser("collect", help="wait for them, and fetch what they made")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse()
    if options.command == "start":
        print(*trio.run(start, options.host, options.image, options.numbers, options.out.absolute()), sep="\n")
    else:
        trio.run(collect, options.host)
