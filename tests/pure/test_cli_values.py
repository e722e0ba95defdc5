"""The command line's texts as values: what each means, and what a wrong one is told."""

import argparse
import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import ExtractSpec
from lightrunner.cli import values
from lightrunner.cli.values import InputSource, Variable

any_argument = st.text(st.characters(exclude_characters="\0", exclude_categories=[]))


def refused(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        parse(text)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("500ms", 0.5),
        ("10s", 10.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604_800.0),
        ("0", 0.0),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert values.duration(text) == pytest.approx(seconds)
    assert values.limit(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "nan", "inf", "5 m", "5min", "1,5", "٣", "9" * 400])
def test_what_is_no_duration(text: str) -> None:
    assert repr(text) in refused(values.duration, text)
    assert repr(text) in refused(values.limit, text)


def test_no_limit() -> None:
    assert values.limit("none") is None


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("A=1", Variable("A", "1")),
        ("A=", Variable("A", "")),
        ("A=b=c", Variable("A", "b=c")),
        ("A", Variable("A", None)),
    ],
)
def test_a_variable(text: str, variable: Variable) -> None:
    assert values.variable(text) == variable


@pytest.mark.parametrize("text", ["", "=1"])
def test_a_variable_without_a_name(text: str) -> None:
    assert "NAME=VALUE" in refused(values.variable, text)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [("out:.", "out", "."), ("/app/a:/b:c", "/app/a", "/b:c"), ("a b:c d", "a b", "c d")],
)
def test_an_extract(text: str, source: str, target: str) -> None:
    assert values.extract(text) == ExtractSpec(source, target)


@pytest.mark.parametrize("text", ["", "out", ":", "out:", ":out"])
def test_what_is_no_extract(text: str) -> None:
    assert "FROM:TO" in refused(values.extract, text)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("-", InputSource()),
        ("@data.bin", InputSource(path="data.bin")),
        ("@-", InputSource(path="-")),
        ('{"n": 1}', InputSource(data=b'{"n": 1}')),
        ("null", InputSource(data=b"null")),
        ("  [1,\n2]", InputSource(data=b"  [1,\n2]")),
        ('"ü"', InputSource(data='"ü"'.encode())),
    ],
)
def test_an_input(text: str, source: InputSource) -> None:
    assert values.input_source(text) == source


@pytest.mark.parametrize("text", ["", "hello", "{", "NaN", "\udcff", '"\udcff"', "[" * 5000, "1 2"])
def test_what_is_no_input(text: str) -> None:
    assert "not JSON" in refused(values.input_source, text)


def test_an_at_sign_alone() -> None:
    assert "@PATH" in refused(values.input_source, "@")


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("100", 100)])
def test_a_count(text: str, number: int) -> None:
    assert values.count(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "²", "9" * 5000])
def test_what_is_no_count(text: str) -> None:
    assert "from 1 up" in refused(values.count, text)


@pytest.mark.parametrize(
    "parse", [values.duration, values.limit, values.variable, values.extract, values.input_source, values.count]
)
@given(text=any_argument)
def test_any_text_has_a_value_or_is_refused(parse: Callable[[str], object], text: str) -> None:
    with suppress(argparse.ArgumentTypeError):
        value = parse(text)
        assert not isinstance(value, float) or (math.isfinite(value) and value >= 0)


@pytest.mark.parametrize(("text", "value"), [("a=b", ("a", "b")), ("a=", ("a", "")), ("a=b=c", ("a", "b=c"))])
def test_a_pair(text: str, value: tuple[str, str]) -> None:
    assert values.pair(text) == value


@pytest.mark.parametrize(("text", "value"), [("db:10.0.0.1", ("db", "10.0.0.1")), ("db:::1", ("db", "::1"))])
def test_a_host(text: str, value: tuple[str, str]) -> None:
    assert values.host_entry(text) == value


@pytest.mark.parametrize(("text", "value"), [("/t", ("/t", "")), ("/t:size=1m,exec", ("/t", "size=1m,exec"))])
def test_a_tmpfs(text: str, value: tuple[str, str]) -> None:
    assert values.tmpfs(text) == value


@pytest.mark.parametrize(("text", "value"), [("cpu=1", ("cpu", 1)), ("nofile=1:-1", ("nofile", (1, -1)))])
def test_a_ulimit(text: str, value: tuple[str, object]) -> None:
    assert values.ulimit(text) == value


@pytest.mark.parametrize("text", ["", "=", "=a", "a", ":", ":a"])
def test_what_has_no_name_and_value(text: str) -> None:
    assert "NAME=VALUE" in refused(values.pair, text)
    assert "NAME:ADDRESS" in refused(values.host_entry, text)
    assert "NAME=LIMIT" in refused(values.ulimit, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3f2a:/app", ("3f2a", "/app")),
        ("3f2a:a:b", ("3f2a", "a:b")),
        ("./a:b", (None, "./a:b")),
        ("/a:b", (None, "/a:b")),
        ("../a:b", (None, "../a:b")),
        ("a", (None, "a")),
    ],
)
def test_a_place(text: str, value: tuple[str | None, str]) -> None:
    assert values.place(text) == value


@pytest.mark.parametrize("text", ["", ":", "a:", ":a"])
def test_what_is_no_place(text: str) -> None:
    assert refused(values.place, text)


def test_ports() -> None:
    assert [values.port(text) for text in ("1", "65535")] == [1, 65535]
    assert [refused(values.port, text) for text in ("0", "65536", "http", "")]
