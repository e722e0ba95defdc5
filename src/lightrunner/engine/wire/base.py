"""The base of all requests and responses, the encoder, and how a response is decoded. Pure."""

from typing import TypeVar

import msgspec

from lightrunner.engine.errors import EngineProtocolError

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class Wire(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    """Base of all: PascalCase on the wire, defaults are not sent."""


def encode(value: object) -> bytes:
    """JSON for a request's body or a query's filters."""
    return _encoder.encode(value)


def decode(decoder: msgspec.json.Decoder[T], operation: str, body: bytes) -> T:
    """A response's struct, straight from its bytes.

    Raises:
        EngineProtocolError: where the body is not that JSON.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineProtocolError(f"{operation}: an answer that cannot be read: {error}") from error
