"""The engines that the contract is checked on, behind one interface.

A container's program is a pair: shell text for a real engine, and a Python function that does the same for the fake.
"""

from typing import Any, Protocol

from lightrunner import DockerRunner, RunRequest
from lightrunner.testing import FakeEngine, Program
from tests.conftest import ours
from tools.raw_engine import RawEngine


class Place(Protocol):
    """An engine, and an image with a shell on it."""

    image: str

    def runner(self, **options: Any) -> DockerRunner:
        """Make a runner, which is to be opened."""
        ...

    def request(self, shell: str, program: Program, **fields: Any) -> RunRequest:
        """Make a request for a program, given as shell text and as a Python function; without a network by default."""
        ...

    def left(self) -> set[str]:
        """Name all that lightrunner has left on the engine: containers, volumes, cache images."""
        ...


class FakePlace:
    """The fake engine."""

    def __init__(self, engine: FakeEngine, image: str) -> None:
        self.engine = engine
        self.image = image

    def runner(self, **options: Any) -> DockerRunner:
        """Make a runner."""
        return DockerRunner(connect=self.engine.connect, **options)

    def request(self, shell: str, program: Program, **fields: Any) -> RunRequest:
        """Make a request."""
        self.engine.add_program(program, command=shell)
        return _request(self.image, shell, fields)

    def left(self) -> set[str]:
        """Name what is left."""
        caches = (f"image {name}" for name in self.engine.images if name.startswith("light-runner-cache:"))
        return {*self.engine.leftovers, *caches}


class RealPlace:
    """A real engine."""

    def __init__(self, host: str, raw: RawEngine, image: str) -> None:
        self.image = image
        self._host = host
        self._raw = raw
        self._before = ours(raw)

    def runner(self, **options: Any) -> DockerRunner:
        """Make a runner."""
        return DockerRunner(host=self._host, **options)

    def request(self, shell: str, program: Program, **fields: Any) -> RunRequest:  # noqa: ARG002 - the fake's
        """Make a request."""
        return _request(self.image, shell, fields)

    def left(self) -> set[str]:
        """Name what is left of this test."""
        return ours(self._raw) - self._before


def _request(image: str, shell: str, fields: dict[str, Any]) -> RunRequest:
    given: dict[str, Any] = {"network": "none"} | fields
    return RunRequest(image=image, entrypoint=shell, **given)
