"""The built programs, which are package data."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from lightrunner.engine.wire import SystemInfo

ARCHITECTURES = ("amd64", "arm64")


class InitProgram(NamedTuple):
    """A static ELF program for Linux. `digest` is what its image and its volume are named after."""

    data: bytes
    digest: str


@cache
def init_program(architecture: str) -> InitProgram | None:
    """Return the program for an architecture, as Docker calls it; None where there is none for it."""
    if architecture not in ARCHITECTURES:
        return None
    data = (files("lightrunner.init") / f"init-{architecture}").read_bytes()
    return InitProgram(data, hashlib.sha256(data).hexdigest()[:12])


def daemon_architecture(info: SystemInfo) -> str:
    """Return a daemon's architecture in Docker's words. Its /info has the kernel's."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(info.architecture, info.architecture)
