"""The base of the structs, and their encoding and decoding. Pure."""

from typing import TypeVar

import msgspec

from lightrunner.engine.errors import EngineProtocolError

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class Wire(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    """Base of the structs. Names are PascalCase on the wire, and default values are not sent."""


def encode(value: object) -> bytes:
    """Encode a request's body, or the filters of a query, as JSON."""
    return _encoder.encode(value)


def decode_lines(decoder: msgspec.json.Decoder[T], operation: str, body: bytes) -> list[T]:
    """The structs of a response that has one on each line.

    Raises:
        EngineProtocolError: where a line is not that JSON.
    """
    return [decode(decoder, operation, line) for line in body.splitlines() if line.strip()]


def decode(decoder: msgspec.json.Decoder[T], operation: str, body: bytes) -> T:
    """Decode the body of a response.

    Raises:
        EngineProtocolError: the body is not JSON, or not of the decoder's type.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineProtocolError(f"{operation}: the response cannot be decoded: {error}") from error
