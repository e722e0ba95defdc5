r"""`ProgressDecoder`.

Invariant: whatever the bytes and however they are cut, it yields messages in order, or raises EngineProtocolError;
never another exception. A stream that ends inside a message raises.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.engine import (
    EngineProtocolError,
    ErrorDetail,
    ProgressDecoder,
    ProgressDetail,
    ProgressMessage,
    progress,
)

from .feeding import (
    Chunks,
    assert_decodes,
    assert_no_prefix_decodes,
    assert_refused,
    decoded_or_refused,
)
from .strategies import chunked, json_values, progress_streams, progress_values, spoiled


def decode(chunks: Chunks) -> list[ProgressMessage]:
    decoder = ProgressDecoder()
    messages = [message for chunk in chunks for message in decoder.feed(chunk)]
    decoder.close()
    return messages


def meant(value: dict[str, Any]) -> ProgressMessage:
    """The message that a JSON object stands for, by hand."""
    error = value.get("errorDetail")
    return ProgressMessage(
        status=value.get("status", ""),
        id=value.get("id", ""),
        stream=value.get("stream", ""),
        detail=ProgressDetail(**value.get("progressDetail", {})),
        error_detail=ErrorDetail(**error) if error is not None else None,
        error=value.get("error", ""),
        aux=value.get("aux"),
    )


def test_a_pull_in_every_way() -> None:
    stream = (
        b'{"status":"Pulling from library/caf\xc3\xa9","id":"1"}\r\n'
        b'{"status":"Downloading","progressDetail":{"current":5,"total":10},"progress":"[=>  ]","id":"a}{"}'
        b' {"errorDetail":{"code":1,"message":"no space"},"error":"no space"}\n'
    )
    expected = [
        ProgressMessage(status="Pulling from library/café", id="1"),
        ProgressMessage(status="Downloading", id="a}{", detail=ProgressDetail(5, 10)),
        ProgressMessage(error_detail=ErrorDetail("no space", 1), error="no space"),
    ]
    assert_decodes(decode, stream, expected)


@pytest.mark.parametrize("stream", [b"", b" \r\n\t"])
def test_no_message_at_all(stream: bytes) -> None:
    assert_decodes(decode, stream, [])


def test_every_truncation_raises() -> None:
    first, second = b'{"status":"\xc3\xa9","aux":{"ID":"x"}}', b'{"id":"b"}'
    ends = {0, len(first)}
    assert_no_prefix_decodes(decode, first + second, EngineProtocolError, "ended inside", ends=ends)


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (b"404 page not found", "not a progress message"),
        (b'{"status":"a"}garbage', "not a progress message: 'g"),
        (b'[{"status":"a"}]', "not a progress message"),
        (b'{"status":1}', "not a progress message: Expected `str`"),
        (b'{"progressDetail":{"current":"1"}}', "not a progress message: Expected `int"),
        (b'{"\\ud800":1}', "not a progress message"),
        (b'{"status" "a"}', "ended inside a message"),
        (b'{"aux":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "ended inside a message"),
        (b'{"status":"\xff"}', "not UTF-8"),
        (b'{"status":"\xc3', "ended inside a character"),
    ],
)
def test_what_is_no_message_is_refused(stream: bytes, match: str) -> None:
    if len(stream) < 100:
        assert_refused(decode, stream, EngineProtocolError, match)
    else:
        with pytest.raises(EngineProtocolError, match=match):
            decode([stream])


def test_a_value_that_is_no_object_is_refused() -> None:
    with pytest.raises(EngineProtocolError, match="not a progress message: Expected `object`"):
        decode([b'null{"status":"a"}'])


def test_a_message_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_MESSAGE_CHARACTERS", 20)
    decoder = ProgressDecoder()
    assert not decoder.feed(b' \n{"status":"' + b"a" * 9)
    with pytest.raises(EngineProtocolError, match="more than 20 characters"):
        decoder.feed(b"a")


@given(st.lists(progress_values, max_size=4), st.booleans(), st.data())
def test_round_trip(values: Sequence[dict[str, Any]], ascii_only: bool, choice: st.DataObject) -> None:  # noqa: FBT001 - hypothesis gives arguments by position
    stream = "\r\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in values).encode()
    assert decode(choice.draw(chunked(stream))) == [meant(value) for value in values]


@given(spoiled(progress_streams()) | st.binary(max_size=100), st.data())
def test_hostile_bytes(data: bytes, choice: st.DataObject) -> None:
    whole = decoded_or_refused(decode, [data], EngineProtocolError)
    assert decoded_or_refused(decode, choice.draw(chunked(data)), EngineProtocolError) == whole


@given(st.dictionaries(st.sampled_from(["status", "id", "progressDetail", "errorDetail", "aux"]), json_values))
def test_hostile_objects(value: object) -> None:
    decoded_or_refused(decode, [json.dumps(value).encode()], EngineProtocolError)
