"""Judge submissions: each runs on each test's input, and gets the verdict that a contest would give.

    python examples/judge.py [--image python:3.12-alpine]

The submissions below are a right one, a wrong one, and one for each way to fail. A warm pool runs them: a submission
waits for no container's start.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import trio

from lightrunner import DockerRunner, Outcome, RunRequest, RunResult, WarmPool

MEMORY_LIMIT = "64m"
TIME_LIMIT = 2.0
"""Seconds."""
OUTPUT_LIMIT = 64 * 1024

VERDICTS = {
    Outcome.TIMED_OUT: "time limit",
    Outcome.OUT_OF_MEMORY: "memory limit",
    Outcome.OUTPUT_LIMIT: "output limit",
    Outcome.SIGNALED: "runtime error",
}
"""What an outcome means in a contest. What exits is judged by its exit code and its output."""


class Test(NamedTuple):
    """An input, and the output that it should give."""

    input: bytes
    expected: bytes


TESTS = [Test(b"1 2\n", b"3\n"), Test(b"-5 5\n", b"0\n"), Test(b"1000000007 998244353\n", b"1998244360\n")]

SUBMISSIONS = {
    "right": "print(sum(map(int, input().split())))",
    "wrong": "a, b = map(int, input().split())\nprint(a - b)",
    "crashes": "print(sum(map(int, input().split())) // 0)",
    "never ends": "while True: pass",
    "eats memory": "data = []\nwhile True: data.append(bytes(1 << 20))",
    "floods": "while True: print('x' * 1000)",
}


def verdict(result: RunResult, test: Test) -> str:
    """The verdict on one test."""
    if result.outcome in VERDICTS:
        return VERDICTS[result.outcome]
    if result.exit_code:
        return "runtime error"
    return "ok" if (result.stdout or b"").split() == test.expected.split() else "wrong answer"


async def judge(pool: WarmPool, image: str, source: str) -> str:
    """Run a submission on each test, up to the first that it fails."""
    for number, test in enumerate(TESTS, 1):
        request = RunRequest(
            image=image,
            # The source comes as an argument's value, so that stdin is the test's input alone.
            entrypoint='exec python -c "$SOURCE"',
            env={"SOURCE": source},
            input=test.input,
            network="none",
            timeout=TIME_LIMIT,
            output_limit=OUTPUT_LIMIT,
            capture_output=True,
        )
        result = await pool.run(request)
        said = verdict(result, test)
        if said != "ok":
            return f"{said} on test {number} ({result.explain()})"
    return "ok"


async def main(host: str | None, image: str, at_once: int) -> None:
    """Judge all submissions, and print the verdicts in the order in which they are found."""

    async def report(name: str, source: str) -> None:
        print(f"{name:>12}: {await judge(pool, image, source)}", flush=True)

    async with (
        DockerRunner(memory=MEMORY_LIMIT, cpus=1, host=host, max_concurrent=at_once) as runner,
        runner.warm(RunRequest(image=image, network="none"), size=at_once) as pool,
        trio.open_nursery() as nursery,
    ):
        for name, source in SUBMISSIONS.items():
            nursery.start_soon(report, name, source)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", help="the daemon's URL; default: as lightrunner chooses")
    parser.add_argument("--image", default="python:3.12-alpine", help="an image with Python")
    parser.add_argument("--at-once", type=int, default=2, help="how many tests run at once")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse()
    trio.run(main, options.host, options.image, options.at_once)
