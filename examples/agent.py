"""Let a model work in a sandbox: it writes files and runs commands, reads what came of them, and tries again.

    python examples/agent.py [--image python:3.12-alpine]

A list stands in for the language model: it writes a program, sees it fail, mends it, sees it run for ever, mends it
again, and hands in its report. Put a model in the place of `ScriptedModel`: it gets the same observations.

All commands run in one sandbox, without a network and within limits, so that files stay from one to the next. What the
model learns of a failure is what `RunResult.explain` says in words, and the end of the output.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, RunResult, Sandbox

TASK = "Count the words of notes.txt. Write them to report.txt, the most frequent one first."
NOTES = b"the cat saw the dog\nand the dog saw the cat\nthe end\n"

COMMAND_TIME = 3.0
"""Seconds for one command."""
TOTAL_TIME = 120.0
"""Seconds for the whole sandbox, the model's thinking included."""
MAX_STEPS = 20
OBSERVED_CHARS = 1000
"""How much of an output the model reads: its end, where programs say what went wrong."""


class Write(NamedTuple):
    """The model writes a file."""

    path: str
    text: str


class Run(NamedTuple):
    """The model runs a command."""

    command: str


class HandIn(NamedTuple):
    """The model is done, and this file is what it has made."""

    path: str


Step = Write | Run | HandIn


class Model(Protocol):
    """What proposes steps."""

    async def propose(self, observation: str) -> Step:
        """Return the next step, given what came of the last one; at first, the task."""
        ...


FIRST = """\
text = open("notes.txt").read()
counts = Counter(text.split())
open("report.txt", "w").writelines(f"{count} {word}\\n" for word, count in counts.most_common())
"""
SECOND = """\
words = open("notes.txt").read().split()
counts = {}
while words:
    counts[words[0]] = counts.get(words[0], 0) + 1
ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
open("report.txt", "w").writelines(f"{count} {word}\\n" for word, count in ordered)
"""
THIRD = SECOND.replace("while words:\n    ", "for word in words:\n    ").replace("words[0]", "word")

SCRIPT: list[Step] = [
    Run("ls; head -n 2 notes.txt"),
    Write("count.py", FIRST),
    Run("python count.py"),  # NameError
    Run("python -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 2)'"),  # There is no network.
    Write("count.py", SECOND),
    Run("python count.py"),  # It never ends.
    Write("count.py", THIRD),
    Run("python count.py && cat report.txt"),
    HandIn("report.txt"),
]


class ScriptedModel:
    """A list of steps that stands in for a language model."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps: Iterator[Step] = iter(steps)

    async def propose(self, observation: str) -> Step:
        """Return the next step of the list. A model would read the observation."""
        print(*(f"    | {line}" for line in observation.splitlines()), sep="\n")
        await trio.lowlevel.checkpoint()
        return next(self._steps)


def observe(result: RunResult) -> str:
    """What the model reads about a command: how it ended, in words, and the end of its output."""
    output = b"".join(chunk.data for chunk in result.output or ()).decode(errors="replace")
    return f"{result.explain()}\n{output[-OBSERVED_CHARS:]}"


async def take(box: Sandbox, step: Write | Run) -> str:
    """Take one step, and return what came of it."""
    try:
        if isinstance(step, Write):
            await box.write(step.path, step.text.encode())
            return f"{step.path} is written."
        # A stranger's text in a shell line: here it may do as it likes, since all of it stays in the sandbox.
        return observe(await box.exec(step.command, timeout=COMMAND_TIME))
    except LightRunnerError as error:
        # The model can mend a path that cannot be written. It can do nothing without a sandbox.
        if error.code is LightRunnerErrorCode.SANDBOX_CLOSED:
            raise
        return str(error)


async def work(box: Sandbox, model: Model) -> bytes | None:
    """Let the model work until it hands something in. None: it has used up its steps."""
    observation = TASK
    for number in range(1, MAX_STEPS + 1):
        step = await model.propose(observation)
        if isinstance(step, HandIn):
            print(f"{number}. hands in {step.path}")
            return await box.read(step.path)
        print(f"{number}. {f'writes {step.path}' if isinstance(step, Write) else step.command}")
        observation = await take(box, step)
    return None


async def main(image: str) -> None:
    """Give the model a sandbox, and print its report."""
    request = RunRequest(image=image, network="none", timeout=TOTAL_TIME)
    async with DockerRunner(memory="128m", cpus=1, pids=50) as runner, runner.sandbox(request) as box:
        await box.write("notes.txt", NOTES)
        report = await work(box, ScriptedModel(SCRIPT))
    print("nothing was handed in" if report is None else f"\nthe report:\n{report.decode(errors='replace')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default="python:3.12-alpine")
    trio.run(main, parser.parse_args().image)
