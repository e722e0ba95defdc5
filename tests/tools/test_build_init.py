"""The init programs in the package are what their sources make."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.build_init import COMPILER_VERSION, COMPILERS, SOURCES, build, compiler_version

QEMU = {"arm64": "qemu-aarch64-static"}
"""What runs a program of another architecture, where it is installed."""


@pytest.mark.parametrize("architecture", COMPILERS)
def test_the_package_has_what_the_sources_make(architecture: str, tmp_path: Path) -> None:
    """Every gcc accepts the sources; the one that built the package makes the same bytes."""
    version = compiler_version(architecture)
    if version is None:
        # Without a compiler the sources have to be what they were at the build: nothing to compare.
        assert shutil.which(COMPILERS[architecture]) is None
        return
    build(architecture, tmp_path / "built")
    packaged = (SOURCES / f"init-{architecture}").read_bytes()
    if version == COMPILER_VERSION:
        assert (tmp_path / "built").read_bytes() == packaged, "the sources have changed: ./dev init"


@pytest.mark.parametrize("architecture", COMPILERS)
def test_a_program_is_small(architecture: str) -> None:
    """It is copied onto each daemon, and mapped by each sandbox."""
    assert (SOURCES / f"init-{architecture}").stat().st_size < 32 * 1024


@pytest.mark.parametrize("architecture", QEMU)
def test_a_foreign_program_starts(architecture: str, tmp_path: Path) -> None:
    """An unknown mode exits with BSD's code for wrong usage."""
    program = tmp_path / "init"
    program.write_bytes((SOURCES / f"init-{architecture}").read_bytes())
    program.chmod(0o755)
    emulator = shutil.which(QEMU[architecture])
    command = [emulator, str(program), "no-such-mode"] if emulator else None
    if command is not None:
        assert subprocess.run(command, check=False).returncode == 64
    else:
        # An ELF file of 64 bits for AArch64 (EM_AARCH64, 183).
        assert program.read_bytes()[:5] == b"\x7fELF\x02"
        assert program.read_bytes()[18:20] == b"\xb7\x00"
