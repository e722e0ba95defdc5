"""``exec``, ``cp`` and ``sandboxes``: what is done with the sandboxes that `lightrunner sandbox` holds."""

import argparse
import os
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext

import trio

from lightrunner.nurseries import open_bare_nursery

from . import exits, tables
from .exits import CommandError, UsageError
from .lookup import find_sandbox
from .messages import (
    MAX_DATA_BYTES,
    Copied,
    Describe,
    Description,
    Ended,
    Exec,
    Failed,
    FromHolder,
    Input,
    InputTaken,
    Kill,
    MessageError,
    Output,
    ProtocolError,
    Resize,
    Started,
)
from .request import copy_order, exec_order
from .signals import Signals
from .sockets import Connection, connected, live_sandboxes
from .stdio import STDIN, put, say, terminal_size, write_chunk
from .terminal import follow_size, raw_terminal

_SHORT_ID = 12
_IMAGE_WIDTH = 40
_PATIENCE = 5.0
"""Seconds for a holder to tell of its sandbox. One that is stopped never does."""

Holder = Connection[FromHolder]


async def exec_(args: argparse.Namespace, command: Sequence[str] | None, signals: Signals) -> int:
    """Run a command in a sandbox, with this process's stdin, stdout and stderr."""
    order = exec_order(args, command, os.environ, terminal=terminal_size() if args.tty else None)
    async with _connected(args.sandbox_id) as holder:
        with raw_terminal() if args.tty else nullcontext():
            return await _Execution(holder, signals).run(order)


class _Execution:
    """One command, from its order to its end."""

    def __init__(self, holder: Holder, signals: Signals) -> None:
        self._holder = holder
        self._signals = signals
        self._taken = trio.Event()
        self._reads = True
        self._writing = trio.CancelScope()
        self._killed = False

    async def run(self, order: Exec) -> int:
        """Return the command's exit code."""
        async with open_bare_nursery() as nursery:

            def kill(_: signal.Signals) -> None:
                """Wait for the command's end, unless a second signal comes: then the holder kills it alone."""
                self._signals.handler = self._signals.cancel
                self._killed = True
                self._writing.cancel()  # Nobody may be reading.
                nursery.start_soon(self._send, Kill())

            self._signals.handler = kill
            try:
                await self._send(order)
                status = await self._receive(nursery, is_terminal=order.terminal is not None)
            finally:
                self._signals.handler = self._signals.cancel
            nursery.cancel_scope.cancel()
        return status

    async def _receive(self, nursery: trio.Nursery, *, is_terminal: bool) -> int:
        while True:
            match await self._holder.receive():
                case Started():
                    nursery.start_soon(self._feed)
                    if is_terminal:
                        nursery.start_soon(follow_size, self._resize)
                case Output(stream, data):
                    if not self._killed:
                        with trio.CancelScope() as self._writing:
                            await write_chunk(stream, data)
                case InputTaken(more):
                    self._reads = more
                    self._taken.set()
                case Ended(exit_code, told):
                    if told:
                        say(told)
                    return exit_code
                case message:
                    return _refuse(message)

    async def _feed(self) -> None:
        """Send stdin, a piece at a time, to its end or until the command reads no more."""
        while self._reads:
            data = await trio.to_thread.run_sync(_read_stdin, abandon_on_cancel=True)
            self._taken = trio.Event()
            await self._send(Input(data))
            if not data:
                return
            await self._taken.wait()

    async def _resize(self, rows: int, columns: int) -> None:
        await self._send(Resize(rows, columns))

    async def _send(self, message: Exec | Input | Kill | Resize) -> None:
        try:
            await self._holder.send(message)
        except trio.BrokenResourceError:
            return  # The holder has left; `_receive` tells.


async def cp(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Copy a file or a folder into a sandbox or out of it."""
    sandbox_id, order = copy_order(args)
    async with _connected(sandbox_id) as holder:
        await holder.send(order)
        match await holder.receive():
            case Copied(skipped):
                if skipped:
                    say(f"{skipped} entries were left out: links, devices, or names that lead outside")
                return exits.OK
            case message:
                return _refuse(message)


async def sandboxes(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """List the sandboxes of this host."""
    ids = await trio.to_thread.run_sync(live_sandboxes)
    told: dict[str, Description | None] = {}
    async with open_bare_nursery() as nursery:
        for sandbox_id in ids:
            nursery.start_soon(_describe, sandbox_id, told)
    found = [description for sandbox_id in ids if (description := told.get(sandbox_id)) is not None]
    for sandbox_id in ids:
        if sandbox_id in told and told[sandbox_id] is None:
            say(f"{sandbox_id}: the process that holds it does not answer")
    if args.json:
        put(tables.to_json({"sandboxes": [tables.untagged(description) for description in found]}))
    elif args.quiet:
        for description in found:
            put(description.id)
    else:
        rows = [
            (
                description.id[:_SHORT_ID],
                tables.short(description.image, _IMAGE_WIDTH),
                f"{tables.age(time.time() - description.started_at)} ago",
                str(description.pid),
                ", ".join(f"{port} {address}" for port, address in description.exposed.items()),
            )
            for description in found
        ]
        put(tables.table(("ID", "IMAGE", "STARTED", "PID", "PORTS"), rows))
    return exits.OK


async def _describe(sandbox_id: str, told: dict[str, Description | None]) -> None:
    """Ask a holder. One that has just ended is left out."""
    with trio.move_on_after(_PATIENCE) as scope:
        try:
            async with connected(sandbox_id) as holder:
                await holder.send(Describe())
                message = await holder.receive()
        except (OSError, trio.BrokenResourceError, ProtocolError):
            return
        if isinstance(message, Description):
            told[sandbox_id] = message
    if scope.cancelled_caught:
        told[sandbox_id] = None


@asynccontextmanager
async def _connected(text: str) -> AsyncGenerator[Holder]:
    """Connect to the sandbox that an id or its beginning names."""
    sandbox_id = find_sandbox(text, await trio.to_thread.run_sync(live_sandboxes))
    try:
        async with connected(sandbox_id) as holder:
            yield holder
    except ProtocolError as error:
        raise CommandError(f"the process that holds the sandbox is another version of lightrunner: {error}") from error
    except MessageError as error:
        raise UsageError(str(error)) from error
    except trio.BrokenResourceError as error:
        raise CommandError(_GONE) from error


_GONE = "the process that held the sandbox has ended, and the sandbox with it"


def _refuse(message: FromHolder | None) -> int:
    """Say why there is nothing more to come, and return the exit status."""
    match message:
        case Failed(status, text):
            say(text)
            return status
        case None:
            raise CommandError(_GONE)
        case _:
            raise ProtocolError(f"{type(message).__name__} was not asked for")


def _read_stdin() -> bytes:
    try:
        return os.read(STDIN, MAX_DATA_BYTES)
    except OSError:
        return b""  # It is closed.
