"""Progress of pull, build, seed and extract on stderr: bars on a terminal with rich, else plain lines."""

import importlib.util
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from lightrunner import Progress

from .stdio import STDERR, is_terminal, say
from .tables import printable, short

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_WIDTH = 60
_LAYERS_END = ("Pull complete", "Already exists")


class Display(Protocol):
    """Shows progress until it is closed."""

    def update(self, progress: Progress) -> None:
        """Show a message."""
        ...

    def close(self) -> None:
        """Leave the terminal to the container's output. What comes later is shown again."""
        ...


class Silence:
    """No progress: ``--quiet``."""

    def update(self, progress: Progress) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """A line for each message that is not a moving figure: for logs, and for terminals without rich."""

    def update(self, progress: Progress) -> None:
        """Print the message, but of a layer only its end."""
        if progress.layer is not None:
            if progress.status in _LAYERS_END:
                say(printable(f"{progress.layer}: {progress.status}"))
        elif progress.current is None:
            say(printable(progress.status))

    def close(self) -> None:
        """Do nothing: every line is whole."""


class MovingBars:
    """A bar for each layer and each transfer, and a line for the last message of a build. They vanish at the end."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def update(self, progress: Progress) -> None:
        """Move a bar."""
        if self._bars is None:
            self._bars = _open_bars()
        moves = progress.current is not None
        key = progress.layer or (progress.status if moves else "")
        text = f"{progress.layer}: {progress.status}" if progress.layer else progress.status
        description = short(printable(text), _WIDTH)
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(description, total=progress.total)
        if progress.current is None:
            self._bars.update(self._tasks[key], description=description)
        else:
            self._bars.update(
                self._tasks[key], description=description, completed=progress.current, total=progress.total
            )

    def close(self) -> None:
        """Remove the bars from the terminal."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks = {}


@contextmanager
def open_display(*, quiet: bool) -> Generator[Display]:
    """Open what suits the options and the terminal. It is closed at the end of the block."""
    display: Display = Silence() if quiet else MovingBars() if is_terminal(STDERR) and _has_rich() else Lines()
    try:
        yield display
    finally:
        display.close()


def _has_rich() -> bool:
    return importlib.util.find_spec("rich") is not None


def _open_bars() -> "Bars":
    from rich.console import Console  # noqa: PLC0415 - there may be none
    from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    bars = Bars(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        console=Console(stderr=True),  # rich keeps NO_COLOR itself.
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bars.start()
    return bars
