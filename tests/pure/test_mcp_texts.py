"""The pure parts of the tools for agents: schemas, languages, and replies."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import OutputChunk, RunResult
from lightrunner.mcp.arguments import TOOLS
from lightrunner.mcp.languages import LANGUAGES, with_images
from lightrunner.mcp.replies import Clip, Output, error_reply, result_reply
from lightrunner.mcp.stdio import Lines
from lightrunner.rules.violation import RuleViolation


@given(st.lists(st.binary(max_size=40)), st.integers(2, 60))
def test_a_clip_keeps_the_beginning_and_the_end(pieces: list[bytes], limit: int) -> None:
    clip = Clip(limit)
    for piece in pieces:
        clip.add(piece)
    data = b"".join(pieces)
    half = limit // 2
    assert clip.is_cut == (len(data) > 2 * half)
    if clip.is_cut:
        note = f"\n[… {len(data) - 2 * half} bytes left out …]\n"
        assert clip.text == data[:half].decode(errors="replace") + note + data[-half:].decode(errors="replace")
    else:
        assert clip.text == data.decode(errors="replace")


def test_a_result_says_what_ended_the_run_and_what_it_printed() -> None:
    output = Output()
    result = RunResult(success=True, exit_code=0, duration=0.25)
    assert result_reply(result, output).text == f"{result.explain()}\n(no output)"
    output.add(OutputChunk("stdout", b"a\n\n", 0.0))
    output.add(OutputChunk("stderr", b"b", 0.0))
    reply = result_reply(result, output)
    assert reply.text == f"{result.explain()}\n--- stdout\na\n--- stderr\nb"
    assert reply.structured is not None
    assert (reply.structured["stdout"], reply.structured["is_cut"], reply.is_error) == ("a\n\n", False, False)
    assert error_reply("why").is_error


def test_schemas_stand_alone_and_describe_every_argument() -> None:
    for tool in TOOLS:
        schema = tool.schema
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert "$ref" not in str(schema)
        assert all("description" in argument for argument in schema["properties"].values())
        assert len(tool.description) > 40


def test_images_of_languages() -> None:
    assert with_images({}) == LANGUAGES
    assert with_images({"sh": "mine"})["sh"].image == "mine"
    with pytest.raises(RuleViolation, match="language='cobol'"):
        with_images({"cobol": "x"})


class Pieces(trio.abc.ReceiveStream):
    """A stream of given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive the next piece."""
        await trio.lowlevel.checkpoint()
        assert max_bytes
        return self._pieces.pop(0) if self._pieces else b""

    async def aclose(self) -> None:
        """Do nothing."""
        await trio.lowlevel.checkpoint()


@given(st.text(), st.integers(1, 5))
async def test_lines_arrive_whole_however_they_are_cut(text: str, size: int) -> None:
    data = text.encode() + b"\nlast without an end"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    lines = [line async for line in Lines(Pieces(*pieces))]
    assert "".join(lines) == f"{text}\n"
