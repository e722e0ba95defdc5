"""Which network a run gets: a prepared one where there is a stock of them, else its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from .engine import EngineClient
from .errors import invalid_request
from .holders import Holder, Holders
from .networks import IsolatedNetwork
from .rules.violation import RuleViolation
from .stock import Stock


class Lease(NamedTuple):
    """A run's network: the mode for its container, and the holder of a prepared one."""

    mode: str
    holder: Holder | None = None


def held(holder: Holder) -> Lease:
    """The lease of a holder's namespace."""
    return Lease(f"container:{holder.container_id}", holder)


class Networks:
    """The networks of one runner."""

    def __init__(self, engine: EngineClient) -> None:
        self._isolated = IsolatedNetwork(engine)
        self.holders = Holders(engine, self._isolated)
        self._stocks: dict[str | None, Stock[Holder]] = {}

    @asynccontextmanager
    async def prepared(self, network: str | None, size: int) -> AsyncGenerator[None]:
        """Keep holders ready on a network; None is the isolated one.

        Raises:
            LightRunnerError: INVALID_REQUEST: there is such a block already. Otherwise they cannot be made.
        """
        with invalid_request():
            if network in self._stocks:
                raise RuleViolation("network", network, "has a block of prepared networks already")
        stock = self.holders.stock(network, size)
        self._stocks[network] = stock
        try:
            async with stock.open():
                yield
        finally:
            del self._stocks[network]

    async def lease(self, network: str | None, *, prepared: bool) -> Lease:
        """A network for one run: from the stock where `prepared` and there is one, else its own."""
        stock = self._stocks.get(network)
        if prepared and stock is not None and (holder := stock.take()) is not None:
            return held(holder)
        return Lease(network or await self._isolated.ensure())

    def release(self, network: str | None, lease: Lease) -> None:
        """The run is over: its holder is thrown away, off the run's critical path."""
        stock = self._stocks.get(network)
        if stock is not None and lease.holder is not None:
            stock.used(lease.holder)

    def forget_isolated(self) -> None:
        """Look again for the isolated network: somebody has removed it."""
        self._isolated.forget()
