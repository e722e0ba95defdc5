"""The protocol between `lightrunner sandbox`, which holds a sandbox, and the commands that use it (pure).

A connection is for one request. The client sends it, and the holder answers with messages up to the last one. A frame
is its length, four bytes in network order, and a message in msgpack. `encode` makes a frame of a message, and a
`Decoder` makes messages of received bytes. A frame that is too long or that holds no message of the expected kind is a
`ProtocolError`.

Input goes one `Input` at a time: the next one may follow once `InputTaken` has come. So a command that does not read
holds up its client, and no other message waits behind its input.
"""

import struct
from typing import Final, Generic, Literal, TypeVar

import msgspec

MAX_FRAME_BYTES: Final = 1024 * 1024
"""Of a message. A command and its environment take most; process 1 of a sandbox takes no longer ones either."""

MAX_DATA_BYTES: Final = 64 * 1024
"""Of one `Input` or `Output`: what a pipe holds."""

_LENGTH: Final = struct.Struct("!I")


class ProtocolError(Exception):
    """The other end sent something that is no message; it may be another version of lightrunner."""


class MessageError(Exception):
    """A message cannot be sent: it is too long, or its text is not UTF-8."""


class Exec(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Run a command. `Started` follows, then `Output` and `InputTaken`, and at last `Ended`; or `Failed`.

    Attributes:
        command: a text for ``sh -c``, or a program and its arguments.
        env: variables on top of the sandbox's.
        workdir: the working directory; None: the sandbox's.
        user: the user; None: the sandbox's.
        timeout: seconds; None: none of its own.
        terminal: rows and columns; None: pipes.
    """

    command: str | list[str]
    env: dict[str, str] = {}
    workdir: str | None = None
    user: str | None = None
    timeout: float | None = None
    terminal: tuple[int, int] | None = None


class Input(msgspec.Struct, tag=True, frozen=True):
    """What the command reads from stdin; empty: the end."""

    data: bytes


class Resize(msgspec.Struct, tag=True, frozen=True):
    """The client's terminal has another size."""

    rows: int
    columns: int


class Kill(msgspec.Struct, tag=True, frozen=True):
    """Kill the command with all that it has started. `Ended` follows."""


class CopyIn(msgspec.Struct, tag=True, frozen=True):
    """Copy a file, or a folder's contents, into the sandbox. `Copied` follows, or `Failed`.

    Attributes:
        source: absolute, on the host, where names need not be UTF-8.
        target: in the sandbox; one that ends with a slash is a folder.
        user: the user; None: the sandbox's.
    """

    source: bytes
    target: str
    user: str | None


class CopyOut(msgspec.Struct, tag=True, frozen=True):
    """Copy a file, or a folder's contents, out of the sandbox; source and target of `CopyIn` the other way round."""

    source: str
    target: bytes
    user: str | None


class Describe(msgspec.Struct, tag=True, frozen=True):
    """Tell of the sandbox. `Description` follows."""


class Started(msgspec.Struct, tag=True, frozen=True):
    """The command runs."""


class Output(msgspec.Struct, tag=True, frozen=True):
    """What the command has written."""

    stream: Literal["stdout", "stderr"]
    data: bytes


class InputTaken(msgspec.Struct, tag=True, frozen=True):
    """The last `Input` has been read. `more`: whether there is any use in another one."""

    more: bool


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The command has ended, with all that it started.

    Attributes:
        exit_code: its exit code.
        told: what the exit code does not tell; empty if there is nothing.
    """

    exit_code: int
    told: str


class Copied(msgspec.Struct, tag=True, frozen=True):
    """All is copied.

    Attributes:
        skipped: entries of the sandbox that no copy is made of, such as links.
    """

    skipped: int


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The request failed. `status` is the client's exit status."""

    status: int
    message: str


class Description(msgspec.Struct, tag=True, frozen=True):
    """A sandbox.

    Attributes:
        id: its id.
        container: the daemon's id of its container.
        image: the request's image.
        pid: the process that holds it.
        started_at: seconds since the epoch.
        exposed: ports of the sandbox, and where this host reaches them.
    """

    id: str
    container: str
    image: str
    pid: int
    started_at: float
    exposed: dict[int, str]


Request = Exec | CopyIn | CopyOut | Describe
FromClient = Request | Input | Resize | Kill
FromHolder = Started | Output | InputTaken | Ended | Copied | Failed | Description

T = TypeVar("T")


def encode(message: FromClient | FromHolder) -> bytes:
    """Return a message's frame.

    Raises:
        MessageError: it is longer than `MAX_FRAME_BYTES`, or its text is not UTF-8.
    """
    try:
        data = msgspec.msgpack.encode(message)
    except UnicodeEncodeError as error:
        raise MessageError(f"{error.object!r} is not UTF-8") from error
    if len(data) > MAX_FRAME_BYTES:
        raise MessageError(f"a message of {len(data)} bytes is too long: {MAX_FRAME_BYTES} is the limit")
    return _LENGTH.pack(len(data)) + data


class Decoder(Generic[T]):
    """Makes messages of bytes. It holds one frame at most, beside the bytes of a call."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._held = bytearray()

    @property
    def is_between_frames(self) -> bool:
        """Whether all that was received has become messages: then the other end may leave."""
        return not self._held

    def receive_data(self, data: bytes) -> list[T]:
        """Return the messages that are whole with these bytes.

        Raises:
            ProtocolError: they are no messages.
        """
        self._held += data
        messages: list[T] = []
        at = 0
        while len(self._held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held, at)
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(f"a message of {length} bytes is too long: {MAX_FRAME_BYTES} is the limit")
            end = at + _LENGTH.size + length
            if end > len(self._held):
                break
            try:
                messages.append(self._decoder.decode(bytes(self._held[at + _LENGTH.size : end])))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ProtocolError(f"not a message of this version: {error}") from error
            at = end
        del self._held[:at]
        return messages
