"""Follow the daemon's log of a detached run, from its start to its last byte."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lightrunner.engine import EngineClient, OutputPiece, OutputStream
from lightrunner.engine.frames import StreamName


class WholeLog:
    """Pieces of output, as `lightrunner.runs.output.Output` reads them.

    Following a log does not give all of it: what the container writes last, a line without a newline above all, comes
    to the daemon's file in the moment in which its followers are sent away (seen on 20.10, in most of the runs). So the
    file is read once more afterwards, and what the follower had not got is added.
    """

    def __init__(self, engine: EngineClient, container: str, followed: OutputStream) -> None:
        self._engine = engine
        self._container = container
        self._followed = followed
        self._received = Counter[StreamName]()
        self._ended = False

    async def receive(self) -> list[OutputPiece]:
        """The next pieces of output, in order for each stream; an empty list at the end.

        Raises:
            EngineError: as the streams of `EngineClient.container_logs`.
        """
        if self._ended:
            return []
        pieces = await self._followed.receive()
        for piece in pieces:
            self._received[piece.stream] += len(piece.data)
        if not pieces:
            self._ended = True
            pieces = await self._rest()
        return pieces

    async def _rest(self) -> list[OutputPiece]:
        """What is there beyond what was received. (Nothing where the file was rotated: the beginning is gone then.)"""
        left = Counter(self._received)
        rest: list[OutputPiece] = []
        async with self._engine.container_logs(self._container) as stream:
            while pieces := await stream.receive():
                for name, data in pieces:
                    known = min(left[name], len(data))
                    left[name] -= known
                    if known < len(data):
                        rest.append(OutputPiece(name, data[known:]))
        return rest


@asynccontextmanager
async def whole_log(engine: EngineClient, container: str) -> AsyncGenerator[WholeLog]:
    """Open the log of a container that has started; it ends after the exit."""
    async with engine.container_logs(container, follow=True) as followed:
        yield WholeLog(engine, container, followed)
