"""Messages between a sandbox's holder and its clients: whole, in pieces, too long, and hostile."""

import struct
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.cli.messages import (
    MAX_DATA_BYTES,
    MAX_FRAME_BYTES,
    CopyIn,
    CopyOut,
    Decoder,
    Describe,
    Ended,
    Exec,
    FromClient,
    FromHolder,
    Input,
    InputTaken,
    Kill,
    MessageError,
    Output,
    ProtocolError,
    Resize,
    encode,
)

from .feeding import assert_decodes, assert_refused

ORDERS: list[FromClient] = [
    Exec(command=["a", "é"], env={"A": ""}, workdir="/w", user="1:2", timeout=1.5, terminal=(24, 80)),
    Exec(command="true"),
    Input(b"\0\xff"),
    Input(b""),
    Resize(1, 2),
    Kill(),
    CopyIn(b"/a\xff", "b/", None),
    CopyOut("a", b"/b", "root"),
    Describe(),
]


def decoder() -> Decoder[FromClient]:
    return Decoder(FromClient)  # type: ignore[arg-type]  # a union is no type to mypy


def decode(chunks: Sequence[bytes]) -> list[FromClient]:
    own = decoder()
    messages = [message for chunk in chunks for message in own.receive_data(chunk)]
    assert own.is_between_frames
    return messages


def framed(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def test_messages_arrive_however_their_bytes_do() -> None:
    assert_decodes(decode, b"".join(map(encode, ORDERS)), ORDERS)


@pytest.mark.parametrize("message", ORDERS)
def test_half_a_message_is_none_yet(message: FromClient) -> None:
    data = encode(message)
    for end in range(1, len(data)):
        own = decoder()
        assert own.receive_data(data[:end]) == []
        assert not own.is_between_frames


def test_the_most_data_fits_and_no_more_than_a_frame_is_sent() -> None:
    for message in (Input(bytes(MAX_DATA_BYTES)), Output("stderr", bytes(MAX_DATA_BYTES))):
        assert len(encode(message)) < MAX_FRAME_BYTES
    with pytest.raises(MessageError, match=f"{MAX_FRAME_BYTES} is the limit"):
        encode(Exec(command="x" * MAX_FRAME_BYTES))
    with pytest.raises(MessageError, match="is not UTF-8"):
        encode(Exec(command="\udcff"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("!I", MAX_FRAME_BYTES + 1), "too long"),
        (b"\xff" * 4, "too long"),
        (framed(b""), "not a message"),
        (framed(b"\xc1"), "not a message"),
        (framed(msgspec.msgpack.encode({"type": "Fly"})), "not a message"),
        (framed(msgspec.msgpack.encode({"type": "Input"})), "not a message"),
        (framed(msgspec.msgpack.encode({"type": "Resize", "rows": "a", "columns": 1})), "not a message"),
        (framed(b"\x91" * 100_00 + b"\xc0"), "not a message"),
        (encode(InputTaken(more=True)), "not a message"),
        (encode(Ended(0, "")), "not a message"),
    ],
    ids=range(10),
)
def test_what_is_no_message(data: bytes, reason: str) -> None:
    if len(data) < 100:
        assert_refused(decode, data, ProtocolError, reason)
    with pytest.raises(ProtocolError, match=reason):
        decoder().receive_data(data)


@given(data=st.binary(max_size=200) | st.binary(max_size=50).map(framed), is_holder=st.booleans())
def test_any_bytes_are_messages_or_a_protocol_error(data: bytes, is_holder: bool) -> None:  # noqa: FBT001
    kind = FromHolder if is_holder else FromClient
    own: Decoder[object] = Decoder(kind)  # type: ignore[arg-type]  # a union is no type to mypy
    try:
        for message in own.receive_data(data):
            assert isinstance(message, msgspec.Struct)
    except ProtocolError:
        return
