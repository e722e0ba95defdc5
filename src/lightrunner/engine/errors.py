"""The engine's errors, and the one place that maps an HTTP status to them.

Pure: `response_error` takes what the daemon answered and returns the error to raise.
"""

import msgspec

MAX_ERROR_BODY_BYTES = 64 * 1024
"""More of an error's body is not read. The daemon's own are a sentence; a proxy's page has no end."""


class EngineError(Exception):
    """Whatever goes wrong between this client and a daemon."""


class EngineEndpointError(EngineError):
    """The address of the daemon (``host`` or ``DOCKER_HOST``) cannot be used."""


class EngineUnreachable(EngineError):
    """The daemon is not there, does not answer in time, or the connection to it was lost."""


class EngineProtocolError(EngineError):
    """The daemon, or what answered in its place, said something that the Engine API does not allow."""


class EngineResponseError(EngineError):
    """The daemon refused. `status` is HTTP's, `message` is the daemon's own sentence.

    An error that came inside a stream (pull, import, build) has the status 200 or the code that the stream named.
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
    """409: the name is taken, or the object is in a state that does not allow this."""


_CLASSES: dict[int, type[EngineResponseError]] = {404: EngineNotFound, 409: EngineConflict}


class _ErrorBody(msgspec.Struct):
    message: str


_ERROR_BODY = msgspec.json.Decoder(_ErrorBody)


def response_error(operation: str, status: int, body: bytes) -> EngineResponseError:
    """The error for a refused request. A body that is not the daemon's JSON is shown as text, shortened."""
    try:
        message = _ERROR_BODY.decode(body).message.strip()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = body[:500].decode(errors="replace").strip()
    return _CLASSES.get(status, EngineResponseError)(operation, status, message or "no reason given")
