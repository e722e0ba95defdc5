"""The command as a process of its own, with a state folder of the test's own."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.detached.state_folder import leftovers
from tools.raw_engine import RawEngine

TIMEOUT = 60
WITHOUT_EXTRA = (
    "import sys; sys.modules.update(dict.fromkeys(['rich', 'rich_argparse', 'argcomplete'])); "
    "from lightrunner.cli.app import main; main()"
)
"""A program that cannot import what the extra brings."""


class Cli:
    """Calls ``python -m lightrunner`` on one daemon."""

    def __init__(self, host: str, state_dir: Path) -> None:
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LIGHT_RUNNER_HOST"}
        } | {"DOCKER_HOST": host, "LIGHT_RUNNER_STATE_DIR": str(state_dir), "TERM": "xterm"}

    def __call__(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, extra: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments, extra=extra),
            input=stdin,
            capture_output=True,
            env=self.env | dict(env or {}),
            timeout=TIMEOUT,
            check=False,
        )

    @staticmethod
    def command(*arguments: str, extra: bool = True) -> list[str]:
        """The command line, with or without what the extra brings."""
        return [sys.executable, *(["-m", "lightrunner"] if extra else ["-c", WITHOUT_EXTRA]), *arguments]

    @contextmanager
    def started(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, stdout: int | IO[bytes] = subprocess.PIPE
    ) -> Generator[subprocess.Popen[bytes]]:
        """Start it; it has to end within a minute of the block's end."""
        with subprocess.Popen(
            self.command(*arguments), env=self.env, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
        ) as process:
            try:
                yield process
                process.wait(TIMEOUT)
            finally:
                process.kill()

    def ok(self, *arguments: str, **keywords: Any) -> str:
        """Run it to a good end, without a word on stderr. Return its stdout."""
        done = self(*arguments, **keywords)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """The state folder, not made yet. After the test no process's locks are left in it."""
    folder = tmp_path / "state"
    yield folder
    assert leftovers(folder) <= {"cache-usage.lock"}


@pytest.fixture
def cli(engine_host: str, daemon_clean: RawEngine, state_dir: Path) -> Cli:
    """The command; after the test nothing of its runs is on the daemon."""
    daemon_clean.ping()
    return Cli(engine_host, state_dir)


def wait_for(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Wait for a line of stdout."""
    assert process.stdout is not None
    for seen in process.stdout:
        if seen == line:
            return
    pytest.fail(f"no line {line!r}")


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal."""
    process.send_signal(number)
