"""A refusal of the daemon, whatever its body is, becomes one error with a sentence to show.

Invariant: `response_error` returns an EngineResponseError of the status' own class; it raises nothing.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.engine import EngineConflict, EngineError, EngineNotFound, EngineResponseError
from lightrunner.engine.errors import MAX_ERROR_BODY_BYTES, response_error


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, EngineResponseError),
        (403, EngineResponseError),
        (404, EngineNotFound),
        (409, EngineConflict),
        (500, EngineResponseError),
        (302, EngineResponseError),
    ],
)
def test_a_status_becomes_a_class(status: int, kind: type[EngineResponseError]) -> None:
    error = response_error("container_start", status, b'{"message":"no such container: x\\n"}')
    assert type(error) is kind
    assert isinstance(error, EngineError)
    assert (error.operation, error.status, error.message) == ("container_start", status, "no such container: x")
    assert str(error) == f"container_start: no such container: x (HTTP {status})"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message":"a","cause":"b","response":409}', "a"),
        (b'{"message":""}', "no reason given"),
        (b'{"message":" \\n"}', "no reason given"),
        (b"", "no reason given"),
        (b" \n", "no reason given"),
        (b"404 page not found\n", "404 page not found"),
        (b"<html>" + b"x" * 1000, "<html>" + "x" * 494),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 499 + "ä".encode(), "x" * 499 + "\ufffd"),
        (b'{"error":"a"}', '{"error":"a"}'),
        (b'{"message":1}', '{"message":1}'),
        (b'"message"', '"message"'),
        (b'{"message":"\xff"}', '{"message":"\ufffd"}'),
        (b'{"x":' + b"[" * (MAX_ERROR_BODY_BYTES - 5), '{"x":' + "[" * 495),
    ],
)
def test_a_body_becomes_a_sentence(body: bytes, message: str) -> None:
    assert response_error("operation", 500, body).message == message


@given(st.integers(100, 599), st.binary(max_size=600))
def test_any_body(status: int, body: bytes) -> None:
    error = response_error("operation", status, body)
    assert error.status == status
    assert error.message.strip()
