"""A swarm of three nodes, all managers, that the tests of this folder share; and the contract's fixtures on it."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
import trio

from lightrunner import DockerRunner, RunRequest, SwarmRunner
from lightrunner.testing import Program
from tests.conftest import ours
from tests.runs.shell_runs import Run, awaited, started
from tools.images import ensure_busybox
from tools.raw_engine import RawEngine
from tools.swarm import PrivateSwarm

LIMITS: dict[str, Any] = {"cpus": 0.2, "memory": "64m"}
"""Swarm reserves what runs may use, and a node has two CPUs."""


KIND = "light-runner.kind=swarm"
"""The label of all services' containers."""


class Swarm:
    """The private swarm, with an image on each node, as tests use it."""

    def __init__(self, private: PrivateSwarm, image: str) -> None:
        self.private = private
        self.image = image
        self.raw: list[RawEngine] = private.raw()

    def runner(self, **options: Any) -> SwarmRunner:
        """Make a runner, which is to be opened."""
        first, *others = self.private.hosts.values()
        given: dict[str, Any] = {"host": first, "other_managers": others, "node_hosts": self.private.host_of}
        return SwarmRunner(**(LIMITS | given | options))

    def request(self, script: str, **fields: Any) -> RunRequest:
        """Make a request for a shell script whose output is captured; without a network by default."""
        given: dict[str, Any] = {"network": "none", "capture_output": True} | fields
        return RunRequest(image=self.image, entrypoint=script, **given)

    async def wait_clean(self) -> None:
        """Wait until Swarm has removed the containers of removed services, as it does in its own time."""
        with trio.fail_after(20):
            while any(raw.containers(label=KIND) for raw in self.raw):  # noqa: ASYNC110  # the daemons tell nobody
                await trio.sleep(0.1)

    def left(self) -> set[str]:
        """Name all that lightrunner has on the nodes, and its services."""
        services: list[dict[str, Any]] = self.raw[0].get("/services")
        found = {f"service {service['Spec']['Name']}" for service in services}
        for number, raw in enumerate(self.raw, 1):
            found |= {f"node{number}: {name}" for name in ours(raw)}
            containers = raw.containers(label=KIND)
            found |= {f"node{number}: {one['Names']}" for one in containers}
            found |= {f"node{number}: volume {one['Name']}" for one in raw.volumes()}
        return found


class SwarmPlace:
    """The swarm, as the place of the contract's tests."""

    def __init__(self, swarm: Swarm) -> None:
        self.image = swarm.image
        self._swarm = swarm

    def runner(self, **options: Any) -> DockerRunner:
        """Make a runner. It has the methods that the contract calls."""
        return cast("DockerRunner", self._swarm.runner(**options))

    def request(self, shell: str, program: Program, **fields: Any) -> RunRequest:  # noqa: ARG002 - the fake's
        """Make a request."""
        return self._swarm.request(shell, **({"capture_output": False} | fields))

    def left(self) -> set[str]:
        """Name what is left."""
        return self._swarm.left()


@pytest.fixture(scope="session")
def whole_swarm() -> Iterator[Swarm]:
    """The swarm."""
    # Swarm's API sets no-new-privileges from 1.44 on.
    with PrivateSwarm(managers=3, config={"no-new-privileges": True}) as private:
        yield Swarm(private, private.load(ensure_busybox))


@pytest.fixture
def swarm(whole_swarm: Swarm) -> Iterator[Swarm]:
    """The swarm; after the test nothing of it is left there."""
    yield whole_swarm
    assert not whole_swarm.left()


@pytest.fixture
def place(swarm: Swarm) -> SwarmPlace:
    """Where the contract is checked."""
    return SwarmPlace(swarm)


@pytest.fixture
async def runner(place: SwarmPlace) -> AsyncIterator[DockerRunner]:
    """A runner on the swarm, open."""
    async with place.runner() as runner:
        yield runner


@pytest.fixture(params=[awaited, started])
def run(request: pytest.FixtureRequest, runner: DockerRunner) -> Run:
    """One request to its result, over ``await runner.run(…)`` and over ``nursery.start``."""
    shape: Callable[[DockerRunner], Run] = request.param
    return shape(runner)
