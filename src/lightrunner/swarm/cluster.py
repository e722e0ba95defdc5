"""What the parts of a `SwarmRunner` share."""

from typing import NamedTuple

from lightrunner.plan import Sandbox

from .managers import Managers
from .nodes import Nodes
from .options import SwarmOptions


class Cluster(NamedTuple):
    """A swarm, and how its containers are to be.

    Attributes:
        managers: its managers.
        nodes: its nodes' own daemons.
        options: the runner's options.
        sandbox: the limits and walls among them, checked.
    """

    managers: Managers
    nodes: Nodes
    options: SwarmOptions
    sandbox: Sandbox

    async def aclose(self) -> None:
        """Close all connections."""
        await self.nodes.aclose()
        await self.managers.aclose()
