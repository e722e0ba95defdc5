"""Build the static program that lightrunner puts into containers: src/lightrunner/init/*.c -> init-amd64, init-arm64.

The programs are package data, since whoever installs lightrunner has no compiler. The same compiler makes the same
bytes: a test builds them again. `./dev init` calls this.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

SOURCES = Path(__file__).resolve().parent.parent / "src" / "lightrunner" / "init"
COMPILERS = {"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}
PACKAGES = {"x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu", "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu"}
"""The Debian package of each. On a machine of that architecture it is gcc's own."""

COMPILER_VERSION = "12.2.0"
"""The version that built the programs in the package (Debian 12)."""

FLAGS = (
    *("-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror"),
    *("-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-no-pie"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"),
    *("-ffunction-sections", "-fdata-sections", "-fno-ident", "-Wl,--gc-sections"),
    *("-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-Wl,-z,norelro", "-Wl,-z,noexecstack", "-s"),
)
ARCHITECTURE_FLAGS = {
    "amd64": ("-fcf-protection=none", "-mno-red-zone"),
    # Kernels may have pages of 64 KiB. Without -mno-outline-atomics calls into libgcc may appear.
    "arm64": ("-Wl,-z,max-page-size=65536", "-mno-outline-atomics"),
}


def build(architecture: str, target: Path) -> None:
    """Compile and link the program for one architecture.

    Raises:
        OSError: there is no such compiler.
        subprocess.CalledProcessError: it has refused the sources.
    """
    sources = sorted(SOURCES.glob("*.c"))
    command = [COMPILERS[architecture], *FLAGS, *ARCHITECTURE_FLAGS[architecture], "-o", target.name]
    with TemporaryDirectory() as folder:
        # No path of this machine may reach the program.
        subprocess.run([*command, *map(str, sources)], cwd=folder, check=True)
        target.write_bytes((Path(folder) / target.name).read_bytes())


def compiler_version(architecture: str) -> str | None:
    """Return the version of an architecture's compiler; None without one."""
    try:
        shown = subprocess.run([COMPILERS[architecture], "--version"], capture_output=True, text=True, check=True)
    except OSError:
        return None
    match = re.search(r"\) (\d+\.\d+\.\d+)", shown.stdout)
    return match[1] if match else None


def main(arguments: Sequence[str]) -> None:
    """Build the programs of the architectures that are named, or of all."""
    for architecture in arguments or COMPILERS:
        target = SOURCES / f"init-{architecture}"
        build(architecture, target)
        print(f"{target.name}: {target.stat().st_size} bytes, gcc {compiler_version(architecture)}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
