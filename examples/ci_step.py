"""A step of a CI pipeline: prepare an image once, run the project's tests in it, and keep the report.

    python examples/ci_step.py ./my-project --setup "pip install pytest" -- python -m pytest -q

The setup steps are baked into an image that later runs with the same steps find. The project's command runs without a
network. The exit code is the command's.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join

import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LogLine, Progress, RunRequest


def show_progress(progress: Progress) -> None:
    """Print the messages of the pull and the build."""
    print(f"setup | {progress.status}", file=sys.stderr, flush=True)


def show_line(line: LogLine) -> None:
    """Pass a line of the command's output on."""
    print(line.text, file=sys.stderr if line.stream == "stderr" else sys.stdout, flush=True)


async def main(options: argparse.Namespace) -> int:
    """Run the step; return the exit code."""
    request = RunRequest(
        image=options.image,
        run=options.setup,
        entrypoint=join(options.command),
        dir=options.project,
        network="none",
        timeout=options.timeout,
        extract=[ExtractSpec(options.report, options.out)],
    )
    async with DockerRunner(memory="1g", cpus=2, host=options.host) as runner:
        await runner.prepare(request, on_progress=show_progress)
        result = await runner.run(request, on_log=show_line)
    for entry in result.extracted or ():
        print(f"{entry.from_}: {entry.status} {entry.error or ''}".strip(), file=sys.stderr)
    print(f"{result.explain()} ({result.duration:.1f} s)", file=sys.stderr)
    return result.exit_code


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="the project's folder")
    parser.add_argument("command", nargs="+", help="the command and its arguments")
    parser.add_argument("--host", help="the daemon's URL; default: as lightrunner chooses")
    parser.add_argument("--image", default="python:3.12-alpine")
    parser.add_argument("--setup", action="append", default=[], metavar="STEP", help="a setup step; may be repeated")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds")
    parser.add_argument("--report", default="report", help="what to copy out of the workdir")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(trio.run(main, parse()))
    except LightRunnerError as error:
        sys.exit(f"ci_step: {error}")
