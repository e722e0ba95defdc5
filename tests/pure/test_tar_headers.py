"""`file_header` and `folder_header`: byte for byte what the standard library writes in GNU's format.

Invariant: whatever name, mode, size and time a file of the host has. What differs are the costs.
"""

import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lightrunner.rules.tarheader import BLOCK, block_sum, file_header, folder_header

AT_THE_LIMIT = "d/" * 49 + "ab"
BIGGEST_OCTAL = 8**11 - 1

names = st.binary(min_size=1, max_size=140).map(lambda raw: raw.replace(b"\0", b"_").decode("utf-8", "surrogateescape"))
modes = st.integers(0, 0o777)
sizes = st.integers(0, 2**63 - 1)
times = st.floats(-(2.0**62), 2.0**62)


def by_the_library(name: str, kind: bytes, *, mode: int, size: int, mtime: float) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, size, int(mtime)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


@given(names, modes, sizes, times)
@example(AT_THE_LIMIT, 0o644, BIGGEST_OCTAL, BIGGEST_OCTAL)
@example(f"{AT_THE_LIMIT}c", 0o644, 0, 0.0)
@example("a", 0o644, BIGGEST_OCTAL + 1, 0.0)
@example("a", 0o644, 0, BIGGEST_OCTAL + 1.0)
@example("a", 0o644, 0, -1.0)
@example("caf\udce9/\udcff", 0o755, 2000, 1700000000.75)
def test_a_file(name: str, mode: int, size: int, mtime: float) -> None:
    expected = by_the_library(name, tarfile.REGTYPE, mode=mode, size=size, mtime=mtime)
    assert file_header(name, mode=mode, size=size, mtime=mtime) == expected


@given(names, modes, times)
@example("dist", 0o777, 1700000000.5)
@example(AT_THE_LIMIT[:-1], 0o777, 0.0)
@example(AT_THE_LIMIT, 0o777, 0.0)
def test_a_folder(name: str, mode: int, mtime: float) -> None:
    expected = by_the_library(f"{name}/", tarfile.DIRTYPE, mode=mode, size=0, mtime=mtime)
    assert folder_header(f"{name}/", mode=mode, mtime=mtime) == expected


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
@example(bytes(BLOCK))
@example(b"\xff" * BLOCK)
def test_the_sum_of_a_block(block: bytes) -> None:
    assert block_sum(block) == sum(block)


@pytest.mark.parametrize("header", [file_header("a", mode=0, size=1, mtime=0.0), folder_header("a/", mode=0, mtime=0)])
def test_it_is_one_block(header: bytes) -> None:
    assert len(header) == BLOCK
