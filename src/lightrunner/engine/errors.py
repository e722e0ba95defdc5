"""The engine's exceptions, and the one place that maps an HTTP status to an exception. Pure.

`response_error` takes a status and a body, and returns the exception to raise.
"""

import msgspec

MAX_ERROR_BODY_BYTES = 64 * 1024
"""Limit of an error response's body. The daemon sends a sentence; a proxy may send a page of any length."""


class EngineError(Exception):
    """Base class of all errors between this client and a daemon."""


class EngineCredentialsError(EngineError):
    """A registry's credentials cannot be read from where the Docker CLI keeps them."""


class EngineEndpointError(EngineError):
    """The daemon's address (``host``, ``DOCKER_HOST`` or a Docker context) cannot be used."""


class EngineUnreachable(EngineError):
    """The daemon cannot be reached, does not respond in time, or the connection to it was lost."""


class EngineProtocolError(EngineError):
    """The daemon, or a server in its place, sent something that the Engine API does not allow."""


class EngineResponseError(EngineError):
    """The daemon responded with an error.

    Attributes:
        operation: the operation that failed, such as ``container_start``.
        status: the HTTP status. For an error inside the stream of a pull, an import or a build: the code in the
            stream, or 200 without one.
        message: the daemon's message.
    """

    def __init__(self, operation: str, status: int, message: str) -> None:
        super().__init__(operation, status, message)
        self.operation = operation
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.operation}: {self.message} (HTTP {self.status})"


class EngineNotFound(EngineResponseError):
    """404: no such container, image, volume, network or path."""


class EngineConflict(EngineResponseError):
    """409: the name is taken, or the object's state does not allow the operation."""


_CLASSES: dict[int, type[EngineResponseError]] = {404: EngineNotFound, 409: EngineConflict}


class _ErrorBody(msgspec.Struct):
    message: str


_ERROR_BODY = msgspec.json.Decoder(_ErrorBody)


def response_error(operation: str, status: int, body: bytes) -> EngineResponseError:
    """Return the exception for an error response. Its message is the daemon's, or else the body's first 500 bytes."""
    try:
        message = _ERROR_BODY.decode(body).message.strip()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = body[:500].decode(errors="replace").strip()
    return _CLASSES.get(status, EngineResponseError)(operation, status, message or "no reason given")
