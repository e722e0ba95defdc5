"""The protocol between the host and process 1 of a sandbox (init/server.c), without I/O. Pure.

`ServerConnection.receive_data` takes bytes from the sandbox and returns events; the other methods return bytes to send.
Whatever bytes arrive, they yield events or raise `ProtocolViolation`. It holds less than one frame, at most
`MAX_DATA_BYTES` and a header; what a channel sends is bounded by the credit that it was given.

A frame is a header of 12 bytes (kind, stream, two zeros, the channel's id and the payload's length as little-endian
uint32) and its payload. A channel is a command or a connection to a port of the sandbox. Each direction of each of its
streams has a window of its own, as in HTTP/2: nobody sends more than the other side has given credit for, so that one
slow reader holds up nothing else.

    to the sandbox      SPAWN, CONNECT (both open a channel), INPUT, INPUT_END, SIGNAL, KILL, RESIZE, CREDIT
    from the sandbox    HELLO (first), STARTED, OUTPUT, OUTPUT_END, INPUT_CREDIT, INPUT_CLOSED, EXIT, FATAL

A channel is over behind its EXIT and the OUTPUT_END of each of its streams, in any order.
"""

import enum
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

VERSION: Final = 1
MAX_ORDER_BYTES: Final = 1024 * 1024
"""The payload of a frame to the sandbox: a command with its environment, mostly. Linux' own limit for these is 2 MiB
where the stack may have 8 (execve(2))."""

MAX_DATA_BYTES: Final = 64 * 1024
"""The payload of a frame from the sandbox: what a pipe holds."""

INPUT_WINDOW: Final = 64 * 1024
"""Bytes of input that may be under way to one channel."""

OUTPUT_WINDOW: Final = 256 * 1024
"""Bytes of output that may be under way from one stream: several frames, so that a distant host keeps it busy."""

MAX_ARGUMENTS: Final = 8192
"""Words of a command, and variables of its environment."""

_HEADER: Final = struct.Struct("<BBHII")
_SPAWN: Final = struct.Struct("<IHHIIII")
_EXIT: Final = struct.Struct("<IiIIQQQ")
_U32: Final = struct.Struct("<I")
_MAX_U32: Final = 2**32 - 1


class ProtocolViolation(Exception):
    """What arrived is not of this protocol, or process 1 has given up; the message says which."""


class Order(enum.IntEnum):
    """Kinds of frames to the sandbox."""

    SPAWN = 1
    CONNECT = 2
    INPUT = 3
    INPUT_END = 4
    SIGNAL = 5
    KILL = 6
    RESIZE = 7
    CREDIT = 8


class Report(enum.IntEnum):
    """Kinds of frames from the sandbox."""

    HELLO = 65
    STARTED = 66
    OUTPUT = 67
    OUTPUT_END = 68
    INPUT_CREDIT = 69
    INPUT_CLOSED = 70
    EXIT = 71
    FATAL = 72


class ExitKind(enum.IntEnum):
    """How a channel ended.

    STUCK: the command's processes could not all be killed within 5 s.
    """

    ENDED = 0
    FAILED = 1
    STUCK = 2


class Stage(enum.IntEnum):
    """What failed, if a command did not start."""

    RESOURCES = 1
    USER = 2
    WORKDIR = 3
    EXEC = 4
    TTY = 5
    CONNECT = 6


class SpawnFlag(enum.IntFlag):
    """Options of a command."""

    INPUT = 1
    TTY = 2
    BACKGROUND = 4


class ExitFlag(enum.IntFlag):
    """What else is known of a command's end.

    WAS_KILLED: by a KILL, before it exited. LOST: code that runs as root killed its supervisor. LEFTOVERS: it left
    processes, which were killed. OOM: meanwhile the kernel killed a process of the sandbox for its memory limit.
    """

    WAS_KILLED = 1
    LOST = 2
    LEFTOVERS = 4
    OOM = 8


class Spawn(NamedTuple):
    """A command. `env` has ``NAME=value``, on top of the container's. `user` is as in Docker; empty: root."""

    argv: Sequence[bytes]
    env: Sequence[bytes]
    workdir: bytes
    user: bytes
    flags: SpawnFlag
    rows: int = 0
    columns: int = 0


class Hello(NamedTuple):
    """The server is there."""

    version: int


class Started(NamedTuple):
    """The command was executed, or the connection established. `pid` is 0 for a connection."""

    channel: int
    pid: int


class Output(NamedTuple):
    """Some output. `stream` is 1 for stdout, for a terminal and for a connection, and 2 for stderr."""

    channel: int
    stream: int
    data: bytes


class OutputEnd(NamedTuple):
    """A stream's end."""

    channel: int
    stream: int


class InputCredit(NamedTuple):
    """The sandbox takes that many bytes more."""

    channel: int
    size: int


class InputClosed(NamedTuple):
    """Nobody reads the input any more. What was on its way is lost."""

    channel: int


class Exit(NamedTuple):
    """The end of a command, or of a connection.

    `status` is as wait(2) has it; where `kind` is FAILED, it is the stage and an errno. Times are in seconds.
    """

    channel: int
    kind: ExitKind
    status: int
    flags: ExitFlag
    max_rss_bytes: int
    user_time: float
    system_time: float
    duration: float

    @property
    def stage(self) -> Stage:
        """What failed."""
        return Stage(self.status >> 16)

    @property
    def errno(self) -> int:
        """Why it failed."""
        return self.status & 0xFFFF


Event = Hello | Started | Output | OutputEnd | InputCredit | InputClosed | Exit


class _Channel:
    """What is open of a channel, and what it may send and receive."""

    def __init__(self, streams: int) -> None:
        self.credit = dict.fromkeys(range(1, streams + 1), OUTPUT_WINDOW)
        self.room = INPUT_WINDOW
        self.exited = False
        self.started = False


class ServerConnection:
    """One sandbox's connection."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._channels: dict[int, _Channel] = {}
        self._next_id = 1
        self._greeted = False

    # --- to the sandbox -------------------------------------------------------------------------------------------

    def spawn(self, order: Spawn) -> tuple[int, bytes]:
        """Open a channel for a command; its id, and what to send.

        Raises:
            ValueError: command and environment take more than `MAX_ORDER_BYTES`, have a NUL, or too many words.
        """
        texts = [order.user, order.workdir, *order.argv, *order.env]
        if any(b"\0" in text for text in texts):
            raise ValueError("a NUL in a command or its environment")
        if not 0 < len(order.argv) <= MAX_ARGUMENTS or len(order.env) > MAX_ARGUMENTS:
            raise ValueError(f"no word, or more than {MAX_ARGUMENTS} words or variables")
        head = _SPAWN.pack(
            order.flags, order.rows, order.columns, OUTPUT_WINDOW, OUTPUT_WINDOW, len(order.argv), len(order.env)
        )
        payload = head + b"".join(text + b"\0" for text in texts)
        if len(payload) > MAX_ORDER_BYTES:
            raise ValueError(f"more than {MAX_ORDER_BYTES} bytes of command and environment")
        channel = self._open(1 if order.flags & SpawnFlag.TTY else 2)
        return channel, _frame(Order.SPAWN, channel, payload)

    def connect(self, port: int) -> tuple[int, bytes]:
        """Open a channel to 127.0.0.1:port inside the sandbox; its id, and what to send."""
        channel = self._open(1)
        return channel, _frame(Order.CONNECT, channel, _U32.pack(port) + _U32.pack(OUTPUT_WINDOW))

    def room(self, channel: int) -> int:
        """Return how many bytes of input may be sent now."""
        return self._channels[channel].room if channel in self._channels else 0

    def send_input(self, channel: int, data: bytes | memoryview) -> bytes:
        """Send input, at most `room` bytes."""
        self._channels[channel].room -= len(data)
        assert self._channels[channel].room >= 0
        return _frame(Order.INPUT, channel, data)

    def end_input(self, channel: int) -> bytes:
        """End the input."""
        return _frame(Order.INPUT_END, channel)

    def signal(self, channel: int, number: int) -> bytes:
        """Send a signal to the command's first process."""
        return _frame(Order.SIGNAL, channel, _U32.pack(number))

    def kill(self, channel: int) -> bytes:
        """Kill the command with all that it started, or abort the connection."""
        return _frame(Order.KILL, channel)

    def resize(self, channel: int, rows: int, columns: int) -> bytes:
        """Change the size of the command's terminal."""
        return _frame(Order.RESIZE, channel, _U32.pack(rows | columns << 16))

    def give_credit(self, channel: int, stream: int, size: int) -> bytes:
        """Take more of a stream; nothing to send where the stream has ended."""
        state = self._channels.get(channel)
        if state is None or stream not in state.credit or not size:
            return b""
        state.credit[stream] += size
        return _frame(Order.CREDIT, channel, _U32.pack(size), stream)

    # --- from the sandbox -----------------------------------------------------------------------------------------

    def receive_data(self, data: bytes | memoryview) -> list[Event]:
        """Return the events that some bytes complete.

        Raises:
            ProtocolViolation: the bytes are not of this protocol.
        """
        self._data += data
        events: list[Event] = []
        at = 0
        while len(self._data) - at >= _HEADER.size:
            kind, stream, zero, channel, length = _HEADER.unpack_from(self._data, at)
            if zero or length > MAX_DATA_BYTES:
                raise ProtocolViolation(f"not a frame: kind {kind}, {length} bytes")
            begin = at + _HEADER.size
            if len(self._data) < begin + length:
                break
            at = begin + length
            events.append(self._event(kind, stream, channel, bytes(memoryview(self._data)[begin:at])))
        del self._data[:at]
        return events

    def close(self) -> None:
        """The bytes have ended; they may do so between two frames only.

        Raises:
            ProtocolViolation: they ended inside of one.
        """
        if self._data:
            raise ProtocolViolation(f"the stream ended inside a frame, after {len(self._data)} bytes of it")

    def _open(self, streams: int) -> int:
        channel = self._next_id
        self._next_id = channel % _MAX_U32 + 1
        self._channels[channel] = _Channel(streams)
        return channel

    def _event(self, kind: int, stream: int, channel: int, payload: bytes) -> Event:
        if kind == Report.FATAL:
            raise ProtocolViolation(f"process 1 of the sandbox gave up: {payload[:200].decode(errors='replace')}")
        if not self._greeted:
            return self._hello(kind, payload)
        state = self._channels.get(channel)
        if state is None:
            raise ProtocolViolation(f"a frame of kind {kind} for the channel {channel}, which is not open")
        if kind == Report.OUTPUT:
            return self._output(state, channel, stream, payload)
        if kind == Report.OUTPUT_END:
            if state.credit.pop(stream, None) is None:
                raise ProtocolViolation(f"the end of the stream {stream}, which is not open")
            self._forget_if_over(channel, state)
            return OutputEnd(channel, stream)
        if kind == Report.EXIT:
            event = _exit(channel, payload)
            if state.exited:
                raise ProtocolViolation("a second exit")
            state.exited = True
            self._forget_if_over(channel, state)
            return event
        return self._about_input(state, kind, channel, payload)

    def _hello(self, kind: int, payload: bytes) -> Hello:
        if kind != Report.HELLO:
            raise ProtocolViolation(f"a frame of kind {kind} in place of a greeting")
        version = _number(payload)
        if version != VERSION:
            raise ProtocolViolation(f"process 1 speaks version {version} of the protocol, not {VERSION}")
        self._greeted = True
        return Hello(version)

    def _output(self, state: _Channel, channel: int, stream: int, payload: bytes) -> Output:
        left = state.credit.get(stream, 0) - len(payload)
        if left < 0 or not payload:
            raise ProtocolViolation(f"{len(payload)} bytes of the stream {stream}, which are not due")
        state.credit[stream] = left
        return Output(channel, stream, payload)

    def _about_input(self, state: _Channel, kind: int, channel: int, payload: bytes) -> Event:
        if kind == Report.STARTED:
            if state.started or state.exited:
                raise ProtocolViolation("a start behind the start")
            state.started = True
            return Started(channel, _number(payload) if payload else 0)
        if kind == Report.INPUT_CLOSED:
            return InputClosed(channel)
        if kind == Report.INPUT_CREDIT:
            size = _number(payload)
            if size > INPUT_WINDOW - state.room:
                raise ProtocolViolation(f"credit for {size} bytes that were not sent")
            state.room += size
            return InputCredit(channel, size)
        raise ProtocolViolation(f"a frame of the unknown kind {kind}")

    def _forget_if_over(self, channel: int, state: _Channel) -> None:
        if state.exited and not state.credit:
            del self._channels[channel]


def _frame(kind: Order, channel: int, payload: bytes | memoryview = b"", stream: int = 0) -> bytes:
    return b"".join((_HEADER.pack(kind, stream, 0, channel, len(payload)), payload))


def _number(payload: bytes) -> int:
    if len(payload) != _U32.size:
        raise ProtocolViolation(f"{len(payload)} bytes in place of a number")
    number: int = _U32.unpack(payload)[0]
    return number


def _exit(channel: int, payload: bytes) -> Exit:
    if len(payload) != _EXIT.size:
        raise ProtocolViolation(f"an exit of {len(payload)} bytes")
    kind, status, flags, max_rss_kib, user_us, system_us, duration_us = _EXIT.unpack(payload)
    try:
        exit_kind = ExitKind(kind)
        if exit_kind is ExitKind.FAILED:
            Stage(status >> 16)
    except ValueError as error:
        raise ProtocolViolation(f"an exit that is none: {error}") from None
    return Exit(
        channel,
        exit_kind,
        status,
        ExitFlag(flags & sum(ExitFlag)),
        max_rss_kib * 1024,
        user_us / 1e6,
        system_us / 1e6,
        duration_us / 1e6,
    )
