"""`ServerConnection`.

Invariant: whatever the bytes and however they are cut, it returns events or raises ProtocolViolation; never another
exception. No stream ever brings more than it has credit for. A stream that ends inside a frame raises.
"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner.sandbox.protocol import (
    INPUT_WINDOW,
    MAX_ARGUMENTS,
    MAX_DATA_BYTES,
    MAX_ORDER_BYTES,
    OUTPUT_WINDOW,
    Event,
    Exit,
    ExitFlag,
    ExitKind,
    Hello,
    InputClosed,
    InputCredit,
    Output,
    OutputEnd,
    ProtocolViolation,
    Report,
    ServerConnection,
    Spawn,
    SpawnFlag,
    Stage,
    Started,
)

from .feeding import Chunks, assert_decodes, assert_no_prefix_decodes, assert_refused, decoded_or_refused
from .strategies import chunked, spoiled

NO_FLAGS = SpawnFlag(0)


def report(kind: int, channel: int = 1, payload: bytes = b"", *, stream: int = 0, zero: int = 0) -> bytes:
    """One frame, put together without the code under test."""
    return struct.pack("<BBHII", kind, stream, zero, channel, len(payload)) + payload


def number(value: int) -> bytes:
    return struct.pack("<I", value)


def exit_report(kind: int = 0, status: int = 0, flags: int = 0) -> bytes:
    return report(Report.EXIT, payload=struct.pack("<IiIIQQQ", kind, status, flags, 4, 1_500_000, 250_000, 2_000_000))


HELLO = report(Report.HELLO, 0, number(1))


def command(*, flags: SpawnFlag = NO_FLAGS) -> ServerConnection:
    """A connection with the channel 1 open for a command, before the greeting."""
    connection = ServerConnection()
    assert connection.spawn(Spawn([b"ls"], [], b"/", b"", flags))[0] == 1
    return connection


def decode(chunks: Chunks) -> list[Event]:
    """Decode, and join what one stream brought in a row."""
    connection = command(flags=SpawnFlag.INPUT)
    connection.send_input(1, bytes(100))
    events = [event for chunk in chunks for event in connection.receive_data(chunk)]
    connection.close()
    return events


WHOLE = [
    (HELLO, Hello(1)),
    (report(Report.STARTED, payload=number(7)), Started(1, 7)),
    (report(Report.OUTPUT, payload=b"out", stream=1), Output(1, 1, b"out")),
    (report(Report.OUTPUT, payload=b"err", stream=2), Output(1, 2, b"err")),
    (report(Report.INPUT_CREDIT, payload=number(60)), InputCredit(1, 60)),
    (report(Report.INPUT_CLOSED), InputClosed(1)),
    (report(Report.OUTPUT_END, stream=2), OutputEnd(1, 2)),
    (exit_report(0, 256, 4), Exit(1, ExitKind.ENDED, 256, ExitFlag.LEFTOVERS, 4096, 1.5, 0.25, 2.0)),
    (report(Report.OUTPUT_END, stream=1), OutputEnd(1, 1)),
]


def test_a_commands_life_in_every_way() -> None:
    assert_decodes(decode, b"".join(data for data, _ in WHOLE), [event for _, event in WHOLE])


def test_every_truncation_raises() -> None:
    ends = [sum(len(data) for data, _ in WHOLE[:count]) for count in range(len(WHOLE))]
    data = b"".join(data for data, _ in WHOLE)
    assert_no_prefix_decodes(decode, data, ProtocolViolation, "ended inside a frame", ends=ends)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (report(Report.OUTPUT, payload=b"x", stream=1), "in place of a greeting"),
        (report(Report.HELLO, 0, number(2)), "version 2"),
        (report(Report.HELLO, 0, b"x"), "1 bytes in place of a number"),
        (report(Report.FATAL, 0, b"no memory"), "gave up: no memory"),
        (HELLO + report(Report.OUTPUT, zero=1), "not a frame"),
        (HELLO + struct.pack("<BBHII", Report.OUTPUT, 1, 0, 1, MAX_DATA_BYTES + 1), "not a frame"),
        (HELLO + report(Report.OUTPUT, 2, b"x", stream=1), "channel 2, which is not open"),
        (HELLO + report(Report.OUTPUT, payload=b"x", stream=3), "stream 3, which are not due"),
        (HELLO + report(Report.OUTPUT, stream=1), "0 bytes of the stream 1"),
        (HELLO + report(Report.OUTPUT_END, stream=0), "stream 0, which is not open"),
        (HELLO + 2 * report(Report.OUTPUT_END, stream=1), "stream 1, which is not open"),
        (HELLO + 2 * report(Report.STARTED, payload=number(1)), "a start behind the start"),
        (HELLO + report(Report.INPUT_CREDIT, payload=number(101)), "101 bytes that were not sent"),
        (HELLO + 2 * exit_report(), "a second exit"),
        (HELLO + exit_report(3), "an exit that is none"),
        (HELLO + exit_report(ExitKind.FAILED, 0), "an exit that is none"),
        (HELLO + report(Report.EXIT, payload=b"x"), "an exit of 1 bytes"),
        (HELLO + report(200), "unknown kind 200"),
        (HELLO + HELLO, "channel 0, which is not open"),
    ],
)
def test_what_is_none_of_the_protocol_is_refused(data: bytes, match: str) -> None:
    assert_refused(decode, data, ProtocolViolation, match)


def test_no_stream_brings_more_than_its_credit() -> None:
    connection = command()
    connection.receive_data(HELLO)
    piece = report(Report.OUTPUT, payload=bytes(MAX_DATA_BYTES), stream=1)
    for _ in range(OUTPUT_WINDOW // MAX_DATA_BYTES):
        connection.receive_data(piece)
    one_more = report(Report.OUTPUT, payload=b"x", stream=1)
    assert connection.give_credit(1, 1, 1)[12:] == number(1)
    connection.receive_data(one_more)
    with pytest.raises(ProtocolViolation, match="not due"):
        connection.receive_data(one_more)


def test_credit_for_what_has_ended_is_not_sent() -> None:
    connection = command()
    connection.receive_data(HELLO + report(Report.OUTPUT_END, stream=1))
    assert connection.give_credit(1, 1, 5) == b""
    assert connection.give_credit(1, 2, 0) == b""
    assert connection.give_credit(2, 1, 5) == b""


def test_input_has_a_window() -> None:
    connection = command()
    connection.receive_data(HELLO)
    assert connection.room(1) == INPUT_WINDOW
    assert connection.send_input(1, b"abc")[12:] == b"abc"
    assert connection.room(1) == INPUT_WINDOW - 3
    connection.receive_data(report(Report.INPUT_CREDIT, payload=number(2)))
    assert connection.room(1) == INPUT_WINDOW - 1
    assert connection.room(2) == 0


def test_a_terminal_and_a_connection_have_one_stream() -> None:
    for connection in (command(flags=SpawnFlag.TTY), ServerConnection()):
        if connection.room(1) == 0:
            assert connection.connect(80)[1][12:] == number(80) + number(OUTPUT_WINDOW)
        connection.receive_data(HELLO + exit_report() + report(Report.OUTPUT_END, stream=1))
        with pytest.raises(ProtocolViolation, match="not open"):
            connection.receive_data(report(Report.OUTPUT_END, stream=1))


def test_orders_have_their_form() -> None:
    connection = command()
    assert connection.spawn(Spawn([b"a", b""], [b"B=c"], b"/w", b"u", SpawnFlag.TTY, 24, 80)) == (
        2,
        report(1, 2, struct.pack("<IHHIIII", 2, 24, 80, OUTPUT_WINDOW, OUTPUT_WINDOW, 2, 1) + b"u\0/w\0a\0\0B=c\0"),
    )
    assert connection.end_input(1) == report(4)
    assert connection.signal(1, 15) == report(5, payload=number(15))
    assert connection.kill(1) == report(6)
    assert connection.resize(1, 24, 80) == report(7, payload=number(80 << 16 | 24))


@pytest.mark.parametrize(
    "order",
    [
        Spawn([], [], b"/", b"", NO_FLAGS),
        Spawn([b"a\0b"], [], b"/", b"", NO_FLAGS),
        Spawn([b"a"], [], b"/\0", b"", NO_FLAGS),
        Spawn([b"a"] * (MAX_ARGUMENTS + 1), [], b"/", b"", NO_FLAGS),
        Spawn([b"a"], [b"A=b"] * (MAX_ARGUMENTS + 1), b"/", b"", NO_FLAGS),
        Spawn([b"a" * MAX_ORDER_BYTES], [], b"/", b"", NO_FLAGS),
    ],
)
def test_orders_that_the_server_would_not_take_are_refused(order: Spawn) -> None:
    connection = ServerConnection()
    with pytest.raises(ValueError, match=r"command|words"):
        connection.spawn(order)
    assert connection.spawn(Spawn([b"ls"], [], b"/", b"", NO_FLAGS))[0] == 1


def test_a_failure_has_a_stage_and_an_errno() -> None:
    connection = command()
    failed = connection.receive_data(HELLO + exit_report(ExitKind.FAILED, Stage.EXEC << 16 | 13))[1]
    assert isinstance(failed, Exit)
    assert (failed.stage, failed.errno) == (Stage.EXEC, 13)


reports = st.builds(
    report,
    st.sampled_from([*Report, 0, 255]),
    st.sampled_from([0, 1, 1, 1, 2]),
    st.one_of(st.binary(max_size=8), st.just(number(1)), st.just(exit_report()[12:])),
    stream=st.integers(0, 3),
)
streams = st.lists(reports, max_size=8).map(lambda frames: HELLO + b"".join(frames))


@given(st.data(), streams | spoiled(streams) | st.binary(max_size=100))
def test_hostile_bytes_are_events_or_a_violation(data: st.DataObject, sent: bytes) -> None:
    whole = decoded_or_refused(decode, [sent], ProtocolViolation)
    cut = decoded_or_refused(decode, data.draw(chunked(sent)), ProtocolViolation)
    assert whole == cut
