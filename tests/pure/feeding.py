"""Every way in which a stream's bytes can reach a decoder.

A decoder is a function here: it takes the chunks, feeds them in order, closes, and returns values that compare.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")

Chunks = Sequence[bytes]


def every_way(data: bytes) -> Iterator[Chunks]:
    """Whole, byte by byte, with empty chunks between the bytes, and cut in two at every place."""
    single = [data[at : at + 1] for at in range(len(data))]
    yield [data]
    yield single
    yield [chunk for byte in single for chunk in (b"", byte)] + [b""]
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]


def assert_decodes(decode: Callable[[Chunks], Sequence[T]], data: bytes, expected: Sequence[T]) -> None:
    """However `data` arrives, it means `expected`."""
    for chunks in every_way(data):
        assert decode(chunks) == expected, f"fed as {chunks[:20]}"


def assert_refused(decode: Callable[[Chunks], object], data: bytes, error: type[Exception], match: str) -> None:
    """However `data` arrives, it is refused for the reason that `match` describes."""
    for chunks in every_way(data):
        with pytest.raises(error, match=match):
            decode(chunks)


def assert_no_prefix_decodes(
    decode: Callable[[Chunks], object], data: bytes, error: type[Exception], match: str, *, ends: Collection[int] = ()
) -> None:
    """A stream that is cut off is refused, wherever that is, except at `ends`, where it may end."""
    for at in range(len(data)):
        if at in ends:
            decode([data[:at]])
        else:
            with pytest.raises(error, match=match):
                decode([data[:at]])


def decoded_or_refused(decode: Callable[[Chunks], T], chunks: Chunks, error: type[Exception]) -> T | None:
    """What the chunks mean, `None` where they are refused; any exception but the decoder's own comes out."""
    try:
        return decode(chunks)
    except error:
        return None
