"""Results for a language model: text, bounded, and the same as JSON. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from lightrunner import OutputChunk, RunResult

MAX_OUTPUT_BYTES = 32 * 1024
"""How much of each stream a reply shows: about 8,000 tokens. The beginning says what was done, the end how it ended."""

MAX_READ_BYTES = 256 * 1024


class Reply(NamedTuple):
    """What a tool returns.

    Attributes:
        text: for the model.
        structured: the same for programs; None if there is no more to it than the text.
        is_error: the tool could not do what it was asked for. A program that fails is no error of the tool.
    """

    text: str
    structured: Mapping[str, object] | None = None
    is_error: bool = False


class Clip:
    """Keeps the beginning and the end of a stream of bytes, half of the limit each."""

    def __init__(self, limit: int = MAX_OUTPUT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Take more of the stream."""
        room = self._half - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[room:] if room > 0 else data
        if len(self._tail) > self._half:
            surplus = len(self._tail) - self._half
            self._dropped += surplus
            del self._tail[:surplus]

    @property
    def is_cut(self) -> bool:
        """Whether some of it was dropped."""
        return self._dropped > 0

    @property
    def text(self) -> str:
        """The text, with a line in place of what was dropped. Bytes that are not UTF-8 become U+FFFD."""
        if not self._dropped:
            return bytes(self._head + self._tail).decode(errors="replace")
        beginning, end = (bytes(part).decode(errors="replace") for part in (self._head, self._tail))
        return f"{beginning}\n[… {self._dropped} bytes left out …]\n{end}"


class Output:
    """The output of a run, for `on_output`."""

    def __init__(self) -> None:
        self.stdout = Clip()
        self.stderr = Clip()

    def add(self, chunk: OutputChunk) -> None:
        """Take a chunk."""
        (self.stdout if chunk.stream == "stdout" else self.stderr).add(chunk.data)


def result_reply(result: RunResult, output: Output) -> Reply:
    """Return what a run or a command did."""
    parts = [result.explain()]
    for name, clip in (("stdout", output.stdout), ("stderr", output.stderr)):
        if text := clip.text:
            parts.append(f"--- {name}\n{text.rstrip(chr(10))}")
    if len(parts) == 1:
        parts.append("(no output)")
    structured: dict[str, object] = {
        "success": result.success,
        "explanation": result.explain(),
        "outcome": str(result.outcome),
        "exit_code": result.exit_code,
        "duration": round(result.duration, 3),
        "stdout": output.stdout.text,
        "stderr": output.stderr.text,
        "is_cut": output.stdout.is_cut or output.stderr.is_cut,
    }
    return Reply("\n".join(parts), structured)


def error_reply(message: str) -> Reply:
    """Return why a tool could not do what it was asked for."""
    return Reply(message, is_error=True)
