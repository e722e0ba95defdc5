"""Decode the progress stream of a pull, an import or a build incrementally: JSON values -> messages. Pure.

`ProgressDecoder.feed` takes bytes and returns the messages that they complete; `close` ends the stream. Both raise
`EngineProtocolError` and nothing else. Messages are split by JSON syntax, not by lines: the API promises no line
breaks.
"""

import codecs
import json

import msgspec

from .errors import EngineProtocolError

MAX_MESSAGE_CHARACTERS = 4 * 1024 * 1024
"""Limit of one message. The longest legitimate ones are a build's lines, which the daemon cuts at 64 KiB, and image
lists."""


class ProgressDetail(msgspec.Struct, frozen=True):
    """The progress of a layer, in bytes."""

    current: int | None = None
    total: int | None = None


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why a pull, an import or a build failed. `code` is an exit code or an HTTP status, if the daemon sends one."""

    message: str = ""
    code: int | None = None


class ProgressMessage(msgspec.Struct, frozen=True, rename={"error_detail": "errorDetail", "detail": "progressDetail"}):
    """One message of a progress stream."""

    status: str = ""
    id: str = ""
    stream: str = ""
    detail: ProgressDetail = ProgressDetail()
    error_detail: ErrorDetail | None = None
    error: str = ""
    aux: object = None


class ProgressDecoder:
    """Decodes one stream. It holds at most one unfinished message."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._text = ""

    def feed(self, data: bytes) -> list[ProgressMessage]:
        """Return the messages that `data` completes."""
        try:
            self._text += self._utf8.decode(data)
        except UnicodeDecodeError as error:
            raise EngineProtocolError(f"the progress stream is not UTF-8: {error.reason}") from error
        messages: list[ProgressMessage] = []
        # A message ends with a brace. Without this check, a long unfinished message would be parsed with every chunk.
        if b"}" in data:
            at = 0
            while (start := self._skip_blanks(at)) < len(self._text):
                try:
                    value, at = self._json.raw_decode(self._text, start)
                except (ValueError, RecursionError):  # Unfinished, or not JSON: `close` finds out.
                    at = start
                    break
                messages.append(_message(value))
            self._text = self._text[at:]
        self._check_rest()
        return messages

    def close(self) -> None:
        """End the stream. Raise if it ends inside a message."""
        try:
            rest = self._text + self._utf8.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise EngineProtocolError("the progress stream ended inside a character") from error
        if rest.strip():
            raise EngineProtocolError(f"the progress stream ended inside a message: {rest[:200]!r}")

    def _skip_blanks(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in " \t\r\n":
            at += 1
        return at

    def _check_rest(self) -> None:
        rest = self._text.lstrip(" \t\r\n")
        if rest and not rest.startswith("{"):
            raise EngineProtocolError(f"not a progress message: {rest[:200]!r}")
        if len(rest) > MAX_MESSAGE_CHARACTERS:
            raise EngineProtocolError(f"the progress message has more than {MAX_MESSAGE_CHARACTERS} characters")


def _message(value: object) -> ProgressMessage:
    try:
        return msgspec.convert(value, ProgressMessage)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter for a name with a lone surrogate
        raise EngineProtocolError(f"not a progress message: {error}") from error
