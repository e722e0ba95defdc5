"""Read a Dockerfile with an independent parser: PyPI's `dockerfile`, which is the engine's own parser.

It is BuildKit's parser in Go, in a version that knows here-documents. Docker 20.10 has an older one, and Docker 28.2 a
newer one; `fuzz.builds` asks the engine of the test.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import dockerfile as untyped

_buildkit: Any = untyped  # It has no type information.

Unreadable: type[Exception] = _buildkit.GoParseError
"""The text is no Dockerfile."""


class Instruction(NamedTuple):
    """One instruction as the parser has read it."""

    name: str
    words: tuple[str, ...]
    flags: tuple[str, ...] = ()
    is_json: bool = False
    heredocs: int = 0


def read(content: bytes) -> list[Instruction]:
    """The instructions of a Dockerfile. (A NUL or a lone surrogate would end the process: the binding is C.)

    Raises:
        Unreadable: it is none.
    """
    assert b"\0" not in content
    return [
        Instruction(command.cmd, command.value, command.flags, command.json, len(command.heredocs))
        for command in _buildkit.parse_string(content.decode())
    ]


def meant(image: str, steps: Iterable[str]) -> list[Instruction]:
    """What a Dockerfile of these steps must be read as: FROM and one RUN per step, and their text unchanged."""
    return [Instruction("FROM", (image,)), *(Instruction("RUN", (step,)) for step in steps)]


def is_misread(step: str) -> bool:
    """Whether this parser reads a step, between two others, as anything but one RUN with that text."""
    steps = ["first", step, "last"]
    try:
        return read("".join(("FROM image\n", *(f"RUN {each}\n" for each in steps))).encode()) != meant("image", steps)
    except Unreadable:
        return True
