"""`AnswerDecoder`.

Invariant: whatever the bytes and however they are cut, it yields the body in order, or raises AnswerError; never
another exception.
"""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.engine.answers import AnswerDecoder, AnswerError

from .feeding import Chunks, assert_decodes, assert_refused, decoded_or_refused
from .strategies import chunked, spoiled

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def decode(chunks: Chunks, *, has_body: bool = True) -> list[object]:
    """Status, headers, body, and whether the body has ended; where it was cut says nothing."""
    decoder = AnswerDecoder(has_body=has_body)
    body = b"".join(bytes(piece) for chunk in chunks for piece in decoder.feed(chunk))
    head = decoder.head
    return [head and head.status, head and head.headers, body, decoder.ended, decoder.until_close]


def test_chunks_in_every_way() -> None:
    data = CHUNKED + b"3\r\none\r\n00B ;why=not\r\n\r\n0\r\nthree\n\r\n0\r\nTrailer: x\r\n\r\n"
    assert_decodes(decode, data, [200, {"transfer-encoding": "chunked"}, b"one\r\n0\r\nthree\n", True, False])


def test_a_body_of_known_length_in_every_way() -> None:
    data = b"HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\n\r\nfour and more"
    assert_decodes(decode, data, [404, {"content-length": "4"}, b"four", True, False])


def test_a_body_that_ends_with_the_connection_in_every_way() -> None:
    data = b"HTTP/1.1 200\nX-Stat: \ta b=\xe9 \n\nall of it\r\n0\r\n\r\n"
    assert_decodes(decode, data, [200, {"x-stat": "a b=é"}, b"all of it\r\n0\r\n\r\n", False, True])


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_no_body(head: bytes) -> None:
    for end in range(len(head)):
        assert decode([head[:end]])[2:] == [b"", False, False], "cut off: it has not ended"
    assert decode([head + b"more"])[2:] == [b"", True, False]


def test_the_answer_to_a_head_has_no_body() -> None:
    data = HEAD + b"Content-Length: 5\r\n\r\n"
    for chunks in ([data], [data[:20], data[20:]]):
        assert decode(chunks, has_body=False) == [200, {"content-length": "5"}, b"", True, False]


def test_an_upgrade_that_was_asked_for_ends_with_its_head() -> None:
    data = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    for rest in (b"", b"\x01\0\0\0\0\0\0\x01x\r\n\r\n"):
        for cut in range(len(data) + 1):
            decoder = AnswerDecoder(may_upgrade=True)
            assert not decoder.feed(data[:cut])
            if cut < len(data):
                assert not decoder.ended
                assert not decoder.feed(data[cut:] + rest)
                assert decoder.rest == rest
            assert (decoder.head and decoder.head.status, decoder.ended) == (101, True)
            assert not decoder.leaves_connection


@pytest.mark.parametrize(
    ("data", "leaves"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nok", True),
        (HEAD + b"Content-Length: 2\r\n\r\nok and more", False),
        (HEAD + b"Content-Length: 3\r\n\r\nok", False),
        (HEAD + b"Connection: keep-alive, Close\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (HEAD + b"Connection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
        (CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n0\r\n\r\n", False),
        (HEAD + b"\r\nok", False),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", True),
        (CHUNKED + b"2\r\nok\r\n0\r\nTrailer: x\r\n\r\n", True),
        (CHUNKED + b"2\r\nok\r\n0\r\n", False),
    ],
)
def test_whether_it_leaves_the_connection(data: bytes, leaves: bool) -> None:  # noqa: FBT001 - a column of the table
    for size in (1, len(data)):
        decoder = AnswerDecoder()
        for at in range(0, len(data), size):
            decoder.feed(data[at : at + size])
        assert decoder.leaves_connection is leaves


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"garbage\n", "not a status line"),
        (b"\r\n", "not a status line"),
        (b"HTTP/2 200 OK\r\n", "not a status line"),
        (b"HTTP/1.1 20 OK\r\n", "not a status line"),
        (HEAD + b"no colon\r\n", "not a header"),
        (HEAD + b"Folded: a\r\n b\r\n", "not a header"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "the transfer coding 'gzip, chunked'"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "not a length"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "'1, 2' is not a length"),
        (CHUNKED[:-2] + b"Transfer-Encoding: gzip\r\n\r\n", "the transfer coding 'chunked, gzip'"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\n", "a switch of protocols"),
        (HEAD + b"Content-Length: \xb2\r\n\r\n", "not a length"),
        (CHUNKED + b"-1\r\n", "not a chunk's size"),
        (CHUNKED + b"\r\n", "not a chunk's size"),
        (CHUNKED + b"1" * 16 + b"\r\n", "not a chunk's size"),
        (CHUNKED + b"3\r\nfour\r\n", "longer than its size"),
    ],
)
def test_what_is_no_answer(data: bytes, reason: str) -> None:
    assert_refused(decode, data, AnswerError, reason)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"A" * 65_536,
        HEAD + b"A: b\r\n" * 20_000,
        CHUNKED + b"1;" + b"x" * 4096,
        b"H" * 65_537,
        CHUNKED + b"0\r\n" + b"A: b\r\n" * 1000,
    ],
)
def test_what_has_no_end_is_not_collected(data: bytes) -> None:
    for size in (len(data), 1000):
        with pytest.raises(AnswerError, match="too long"):
            decode([data[at : at + size] for at in range(0, len(data), size)])


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_what_h11_sends(parts: list[bytes], choice: st.DataObject) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: docker\r\n\r\n")
    server.next_event()
    sent = server.send(h11.Response(status_code=200, headers=[("Transfer-Encoding", "chunked")])) or b""
    sent += b"".join(server.send(h11.Data(data=part)) or b"" for part in parts)
    sent += server.send(h11.EndOfMessage()) or b""
    assert decode(choice.draw(chunked(sent)))[2:] == [b"".join(parts), True, False]


@given(spoiled(st.just(CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")), st.data())
def test_hostile_bytes(data: bytes, choice: st.DataObject) -> None:
    whole = decoded_or_refused(decode, [data], AnswerError)
    assert decoded_or_refused(decode, choice.draw(chunked(data)), AnswerError) == whole
