"""A run's secrets: names and sizes that are refused, what is packed, and what no repr shows."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrunner import RunRequest
from lightrunner.plan import check_detachable, check_request
from lightrunner.rules.limits import MAX_SECRETS, MAX_SECRETS_BYTES
from lightrunner.rules.secrets import Secrets, parse_secrets, user_id
from lightrunner.rules.violation import RuleViolation

from .strategies import any_values

NAMES = st.text("abcXYZ019._-", min_size=1, max_size=255).filter(lambda name: name not in {".", ".."})


def unpacked(secrets: Secrets) -> dict[str, bytes]:
    """What init/secrets.c makes of them."""
    data = bytes(secrets.packed)
    (count,) = struct.unpack_from("<I", data)
    at, contents = 4, dict[str, bytes]()
    for _ in range(count):
        name_size, size = struct.unpack_from("<II", data, at)
        name = data[at + 8 : at + 8 + name_size].decode()
        at += 8 + name_size + size
        contents[name] = data[at - size : at]
    assert at == len(data)
    return contents


@given(st.dictionaries(NAMES, st.binary(max_size=2000), min_size=1, max_size=MAX_SECRETS))
def test_what_is_packed(contents: dict[str, bytes]) -> None:
    secrets = parse_secrets("secrets", contents)
    assert secrets is not None
    assert unpacked(secrets) == contents


def test_buffers_are_copied() -> None:
    buffer = bytearray(b"before")
    secrets = parse_secrets("secrets", {"a": buffer, "b": memoryview(buffer)[::2]})
    buffer[:] = b"behind"
    assert secrets is not None
    assert unpacked(secrets) == {"a": b"before", "b": b"bfr"}


def test_none() -> None:
    assert parse_secrets("secrets", {}) is None
    assert check_request(RunRequest(image="x")).secrets is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a\0", "a b", "a\n", "ä", "n" * 256, "$(id)", "\ud800", "..\\x"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(RuleViolation, match=r"secrets name=.*: not a file name") as caught:
        parse_secrets("secrets", {name: b""})
    assert caught.value.value == name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "secrets=<NoneType>: not a mapping of file names to bytes"),
        ("hunter2", "secrets=<str>: not a mapping of file names to bytes"),
        ([("key", b"hunter2")], "secrets=<list>: not a mapping of file names to bytes"),
        ({b"hunter2": b""}, "secrets name=<bytes>: not a str"),
        ({"key": "hunter2"}, "secrets['key']=<str>: not bytes; encode the str"),
        ({"key": ["hunter2"]}, "secrets['key']=<list>: not bytes"),
        ({"key": b"hunter2" * MAX_SECRETS_BYTES}, f"secrets size={7 * MAX_SECRETS_BYTES}: more than 262144 bytes"),
        ({"key": b"1", "b": bytes(MAX_SECRETS_BYTES)}, f"secrets size={MAX_SECRETS_BYTES + 1}: more than 262144 bytes"),
        ({f"k{at}": b"hunter2" for at in range(MAX_SECRETS + 1)}, "secrets=65: more than 64 secrets"),
    ],
)
def test_a_refusal_shows_no_content(value: object, message: str) -> None:
    with pytest.raises(RuleViolation) as caught:
        parse_secrets("secrets", value)
    assert str(caught.value) == message
    assert "hunter2" not in repr(caught.value)


@given(any_values)
def test_whatever_is_given_is_a_violation_or_secrets(value: object) -> None:
    try:
        secrets = parse_secrets("secrets", value)
    except RuleViolation:
        return
    assert secrets is None or isinstance(secrets, Secrets)


def test_no_repr_shows_them() -> None:
    request = RunRequest(image="x", secrets={"key": b"hunter2", "b": b""}, input="typed")
    plan = check_request(request)
    for shown in (repr(request), str(request), f"{request}", repr(plan), repr(plan.secrets), repr(plan._asdict())):
        assert "key" in shown
        assert "hunter2" not in shown
    assert plan.secrets is not None
    assert "hunter2" not in repr(plan.secrets.packed)
    assert "input='typed'" in repr(request)
    assert "secrets={'key': <bytes>, 'b': <bytes>}" in repr(request)
    assert ("secrets", request.secrets) not in request.__rich_repr__()


@pytest.mark.parametrize("value", ["hunter2", [b"hunter2"], {b"hunter2": "hunter2"}])
def test_no_repr_shows_what_is_no_secret_at_all(value: object) -> None:
    assert "hunter2" not in repr(RunRequest(image="x", secrets=value))  # type: ignore[arg-type]


def test_a_repr_without_secrets_is_what_a_caller_would_write() -> None:
    request = RunRequest(image="x", env={"A": "b"}, timeout=3.0)
    assert eval(repr(request), {"RunRequest": RunRequest}) == request  # noqa: S307 - our own


@pytest.mark.parametrize("workdir", ["/run/secrets", "/run/secrets/", "/run/secrets/x"])
def test_a_workdir_in_their_place(workdir: str) -> None:
    with pytest.raises(RuleViolation, match=r"workdir='/run/secrets.*': is the place of the run's secrets"):
        check_request(RunRequest(image="x", workdir=workdir, secrets={"key": b""}))
    check_request(RunRequest(image="x", workdir=workdir))
    check_request(RunRequest(image="x", workdir="/run/secrets2", secrets={"key": b""}))
    check_request(RunRequest(image="x", workdir="/run", secrets={"key": b""}))


def test_what_has_no_secrets() -> None:
    with pytest.raises(RuleViolation, match="tty=True: a terminal"):
        check_request(RunRequest(image="x", tty=True, secrets={"key": b""}))
    with pytest.raises(RuleViolation, match=r"secrets=\['key'\]: a detached run"):
        check_detachable(RunRequest(image="x", secrets={"key": b"hunter2"}))


PASSWD = b"root:x:0:0:root:/root:/bin/sh\n\nbroken\nhalf:x\napp:x:1000:1000::/home/app:/bin/sh\napp:x:7::\nno:x:-1:\n"


@pytest.mark.parametrize(
    ("user", "number"),
    [
        ("root", 0),
        ("app", 1000),
        ("app:7", 1000),
        ("1234", 1234),
        ("1234:app", 1234),
        ("ap", None),
        ("half", None),
        *[(name, None) for name in ("no", "broken", "x", "9" * 5000)],
    ],
)
def test_user_id(user: str, number: int | None) -> None:
    assert user_id(PASSWD, user) == number


@given(st.binary(), st.text())
def test_user_id_of_any_bytes(passwd: bytes, user: str) -> None:
    number = user_id(passwd + b"\nend:x:" + b"1" * 5000, user)
    assert number is None or 0 <= number < 10**10
