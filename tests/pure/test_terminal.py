"""Input for a terminal: what was given, and Ctrl-D as often as the end of the file takes."""

import os
import pty
import termios
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightrunner.rules.terminal import END_OF_FILE, typed

from .violations import violation

_CONTROL = frozenset(b"\x00\x03\x04\x0f\x11\x12\x13\x15\x16\x17\x1a\x1c\x7f\r")
"""What a terminal does not hand on as it is."""


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", b"\x04"), (b"a\n", b"a\n\x04"), (b"a", b"a\x04\x04"), (b"a\nb", b"a\nb\x04\x04"), (b"\n", b"\n\x04")],
)
def test_the_end_of_the_file(data: bytes, expected: bytes) -> None:
    assert typed("input", data) == expected


def test_a_line_that_a_terminal_would_cut_is_refused() -> None:
    assert typed("input", b"x" * 4094 + b"\n").endswith(b"\n" + END_OF_FILE)
    long = b"a\n" + b"x" * 4095 + b"\n"
    with violation("input", long, "lines of at most 4094 bytes; one has 4095"):
        typed("input", long)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.just(b"x" * 4094), max_size=3).map(b"\n".join))
def test_a_real_terminal_hands_on_just_that_and_the_end(data: bytes) -> None:
    data = bytes(byte for byte in data if byte not in _CONTROL)
    master, slave = pty.openpty()
    try:
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        received, left = b"", typed("input", data)
        while left:
            # In parts: a terminal buffers 4 KiB, and nobody reads meanwhile.
            cut = left.find(b"\n") + 1 or len(left)
            os.write(master, left[:cut])
            left = left[cut:]
            if cut and left:
                received += os.read(slave, 8192)
        while part := os.read(slave, 8192):
            received += part
        assert received == data
    finally:
        os.close(master)
        with suppress(OSError):
            os.close(slave)
