"""Follow the daemon's log of a detached run, from its first to its last byte."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lightrunner.engine import EngineClient, OutputPiece, OutputStream
from lightrunner.engine.frames import StreamName


class WholeLog:
    """The complete log of a container, as a `lightrunner.runs.output.PieceStream`.

    A followed log often lacks its end. The daemon writes the last output to the log file, above all a last line without
    a newline, in the moment in which it disconnects the followers (on 20.10, in most runs). `WholeLog` therefore reads
    the log once more after the end, and returns what the follower has not received.
    """

    def __init__(self, engine: EngineClient, container: str, followed: OutputStream) -> None:
        self._engine = engine
        self._container = container
        self._followed = followed
        self._received = Counter[StreamName]()
        self._ended = False

    async def receive(self) -> list[OutputPiece]:
        """Receive the next pieces of output, in order per stream; an empty list at the end.

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
        """Read what was not received. (That is nothing if the log was rotated, since its beginning is missing then.)"""
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
    """Open the log of a container that has started. The log ends after the exit."""
    async with engine.container_logs(container, follow=True) as followed:
        yield WholeLog(engine, container, followed)
