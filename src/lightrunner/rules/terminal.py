"""Input for a terminal, as if it were typed. Pure.

`typed` and `end_of_input` take bytes and return what to write to the terminal. They raise `RuleViolation` alone.
"""

from .limits import MAX_TERMINAL_LINE_BYTES
from .violation import RuleViolation

END_OF_FILE = b"\x04"
"""Ctrl-D, which ends the current read of a terminal (termios(3), VEOF): at the start of a line, that is the end of the
file; inside a line, it only hands over what was typed."""


def typed(field: str, data: bytes) -> bytes:
    """Return the input, and Ctrl-D as often as the end of the file takes.

    Closing the connection's sending half, as for a pipe, does nothing: the daemon keeps a terminal open.
    """
    longest = max(map(len, data.split(b"\n")))
    if longest >= MAX_TERMINAL_LINE_BYTES:
        reason = f"a terminal takes lines of at most {MAX_TERMINAL_LINE_BYTES - 1} bytes; one has {longest}"
        raise RuleViolation(field, data, reason)
    return data + end_of_input(data)


def end_of_input(data: bytes) -> bytes:
    """Return Ctrl-D as often as the end of the file takes behind this input."""
    ends_inside_line = data and not data.endswith(b"\n")
    return END_OF_FILE * (2 if ends_inside_line else 1)
