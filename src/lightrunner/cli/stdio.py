"""Write to stdout and stderr, byte for byte, without blocking the event loop; read stdin and files of the command line.

The standard file descriptors are blocking, and making them non-blocking would change them for every process that shares
them. A worker thread writes: it may wait for a reader, and is left behind if the command is cancelled.
"""

import os
import select
import shutil
from collections.abc import AsyncGenerator
from contextlib import suppress

import trio

from lightrunner.engine.frames import StreamName
from lightrunner.rules.limits import DEFAULT_TTY_SIZE

from .exits import UsageError
from .values import InputSource

STDIN, STDOUT, STDERR = 0, 1, 2
_READ_BYTES = 64 * 1024
_DESCRIPTORS: dict[StreamName, int] = {"stdout": STDOUT, "stderr": STDERR}


async def write_chunk(stream: StreamName, data: bytes | memoryview) -> None:
    """Write bytes to one of the process's own streams.

    Raises:
        OSError: it cannot be written: a pipe without a reader, a full disk.
    """
    await trio.to_thread.run_sync(_write_all, _DESCRIPTORS[stream], data, abandon_on_cancel=True)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # Another process has made it non-blocking.
            select.select([], [descriptor], [])


def say(*lines: str) -> None:
    """Print the tool's own words to stderr, if anybody can read them."""
    with suppress(OSError):
        _write_all(STDERR, "".join(f"lightrunner: {line}\n" for line in lines).encode(errors="backslashreplace"))


def put(text: str) -> None:
    """Print what was asked for to stdout.

    Raises:
        OSError: as `write_chunk`.
    """
    _write_all(STDOUT, f"{text}\n".encode(errors="backslashreplace"))


def read_source(option: str, source: InputSource) -> bytes:
    """Read what an option names. `option` is the option as it was given, such as ``--input @data``.

    Raises:
        UsageError: a file cannot be read.
    """
    if source.data is not None:
        return source.data
    try:
        with open(STDIN if source.path is None else source.path, "rb", closefd=source.path is not None) as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"{option}: {error.strerror}") from error


async def receive_stdin() -> AsyncGenerator[bytes]:
    """Yield what arrives on the process's own stdin, to its end. If nobody wants more, a read is left behind.

    Raises:
        UsageError: stdin is closed.
    """
    while data := await trio.to_thread.run_sync(_read_stdin, abandon_on_cancel=True):
        yield data


def _read_stdin() -> bytes:
    while True:
        try:
            return os.read(STDIN, _READ_BYTES)
        except BlockingIOError:  # Another process has made it non-blocking.
            select.select([STDIN], [], [])
        except OSError as error:
            raise UsageError(f"--interactive: {error.strerror}") from error


def keep_descriptors_taken() -> None:
    """Take standard descriptors that the caller has closed, so that no socket or file gets their number.

    They are opened the wrong way round: a read of stdin or a write to the others fails as it does on a closed one.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == STDIN else os.O_RDONLY)


def is_terminal(descriptor: int) -> bool:
    """Whether a person reads it on a terminal that can move its cursor."""
    return os.isatty(descriptor) and os.environ.get("TERM", "") not in {"", "dumb"}


def has_colors(descriptor: int) -> bool:
    """Whether to use colours: on a terminal, unless NO_COLOR is set and not empty (no-color.org)."""
    return is_terminal(descriptor) and not os.environ.get("NO_COLOR")


def terminal_size() -> tuple[int, int]:
    """Rows and columns of the terminal that stdout is, or the usual ones."""
    columns, rows = shutil.get_terminal_size((DEFAULT_TTY_SIZE[1], DEFAULT_TTY_SIZE[0]))
    return rows, columns
