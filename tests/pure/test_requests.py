"""Checked requests and options: the plan's value of each field, and the field that an error names."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given

from lightrunner import ExtractResult, ExtractSpec, RegistryAuth, RunnerOptions, RunRequest
from lightrunner.plan import check_detachable, check_mounts, check_options, check_request, check_stdin
from lightrunner.rules.limits import GIB, MIB
from lightrunner.rules.sizes import GpuRequest
from lightrunner.rules.violation import RuleViolation
from lightrunner.rules.walls import Ulimit

from .strategies import any_text, any_values, json_values
from .violations import violation


def test_the_least_of_a_request() -> None:
    plan = check_request(RunRequest(image="busybox"))
    assert plan.image.text == "busybox"
    assert (plan.entrypoint, plan.source, plan.input, plan.network) == (None, None, None, None)
    assert (plan.ignore, plan.extracts, plan.env, plan.dropped_env) == ((), (), [], [])
    assert (plan.timeout, plan.workdir, plan.capture_output) == (1200.0, "/app", False)


def test_what_is_empty_is_like_what_is_left_out() -> None:
    empty = MappingProxyType[str, str]({})
    request = RunRequest(
        image="busybox",
        run=[],
        ignore=[],
        env=empty,
        extract=[],
        extra_hosts=empty,
        labels=empty,
        tty_size=(24, 80),
        secrets=MappingProxyType[str, bytes]({}),
    )
    assert check_request(request) == check_request(RunRequest(image="busybox"))


def test_a_request_with_everything() -> None:
    extract = ExtractSpec("out", Path("/tmp/to"))  # noqa: S108 - nothing is written
    plan = check_request(
        RunRequest(
            image="python:3",
            entrypoint="python main.py",
            run=["  pip list\t"],
            dir=Path("src"),
            ignore=["*.log"],
            input={"n": [1, None, "ü"]},
            timeout=None,
            network="none",
            env={"A": "b", "not-posix": "c"},
            workdir="//work/./dir/",
            extract=[extract],
            capture_output=True,
            platform="linux/arm64",
            user="app:1000",
            hostname="job-7",
            extra_hosts={"db": "10.0.0.1"},
            labels={"tenant": "7"},
        )
    )
    assert (plan.image.name, plan.image.tag) == ("python", "3")
    assert (plan.entrypoint, plan.steps, plan.platform) == ("python main.py", ("pip list",), "linux/arm64")
    assert (plan.source, plan.ignore, plan.input) == ("src", ("*.log",), b'{"n":[1,null,"\xc3\xbc"]}')
    assert (plan.timeout, plan.network, plan.workdir) == (math.inf, "none", "/work/dir")
    assert (plan.user, plan.hostname, plan.names_hosts) == ("app:1000", "job-7", True)
    assert (plan.extra_hosts, plan.labels) == (["db:10.0.0.1"], {"tenant": "7"})
    assert (plan.env, plan.dropped_env, plan.capture_output) == (["A=b"], ["not-posix"], True)
    assert plan.extracts == ((extract, "/work/dir/out", "/tmp/to", None),)  # noqa: S108 - as above


NESTED: list[object] = []
NESTED.append(NESTED)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("image", "Busybox", "image reference"),
        ("run", "pip list", "not a list"),
        ("platform", "--linux", "not a platform"),
        ("entrypoint", "", "is empty; omit it"),
        ("entrypoint", " \n", "is empty; omit it"),
        ("entrypoint", "a\0", "NUL"),
        ("entrypoint", ["python"], "not a str"),
        ("dir", "", "is empty"),
        ("ignore", "*.log", "not a list"),
        ("input", {1, 2}, "not a JSON value"),
        ("input", object, "not a JSON value"),
        ("input", math.nan, "not a JSON value"),
        ("input", [math.inf], "not a JSON value"),
        ("input", {(1, 2): 3}, "not a JSON value"),
        ("input", {"a": b"b"}, "not a JSON value"),
        ("input", "\ud800", "not a JSON value"),
        ("input", NESTED, "not a JSON value"),
        ("input", 10**5000, "not a JSON value"),
        ("timeout", 0, "more than 0"),
        ("network", "host", "not isolated"),
        ("env", [], "not a mapping"),
        ("workdir", "/", "the root"),
        ("extract", "/app/out", "not a list"),
        ("extract", None, "not a list"),
        ("capture_output", 1, "not True or False"),
        ("user", "", "not a user"),
        ("hostname", "a b", "not a hostname"),
        ("extra_hosts", [], "not a mapping"),
        ("labels", "a=b", "not a mapping"),
        ("cpu_timeout", 0, "more than 0"),
        ("output_limit", 0, "at least 1 byte"),
        ("tty", 1, "not True or False"),
        ("tty_size", "24x80", "not a pair"),
        ("tty_size", (24, 80, 1), "not a pair"),
        ("tty_size", (0, 80), "from 1 to 65535 each"),
        ("tty_size", (24, True), "from 1 to 65535 each"),
        ("tty_size", (24, 65_536), "from 1 to 65535 each"),
        ("pull", "often", "not 'missing', 'always' or 'never'"),
        ("pull", None, "not 'missing', 'always' or 'never'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_requests_that_are_refused(field: str, value: Any, match: str) -> None:
    with violation(field, value, match):
        check_request(msgspec.structs.replace(RunRequest(image="busybox"), **{field: value}))


@pytest.mark.parametrize(
    ("field", "request_", "value"),
    [
        ("run[1]", {"run": ["true", ""]}, ""),
        ("ignore[0]", {"ignore": [1]}, 1),
        ("env['A']", {"env": {"A": 1}}, 1),
        ("extract[1]", {"extract": [ExtractSpec("a", "b"), ("a", "b")]}, ("a", "b")),
        ("extract[0]", {"extract": b"x"}, ord("x")),
    ],
)
def test_an_item_is_blamed_by_its_place(field: str, request_: dict[str, Any], value: object) -> None:
    with violation(field, value):
        check_request(RunRequest(image="busybox", **request_))


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (ExtractSpec("", "to"), "from_='': is empty"),
        (ExtractSpec("../a", "to"), r"from_='../a': contains '..'"),
        (ExtractSpec("/", "to"), "from_='/': the root cannot be extracted as a whole; name a folder below it"),
        (ExtractSpec("a\0", "to"), r"from_='a\x00': contains a NUL character"),
        (ExtractSpec("a", ""), "to='': is empty"),
        (ExtractSpec("a", "b/../c"), "to='b/../c': contains '..'; resolve the path first"),
        (ExtractSpec("a", "\0"), r"to='\x00': contains a NUL character"),
    ],
)
def test_a_bad_extract_is_a_result(spec: ExtractSpec, error: str) -> None:
    good = ExtractSpec("a", "b")
    rejected, accepted = check_request(RunRequest(image="busybox", extract=(spec, good))).extracts
    assert rejected.rejection == ExtractResult(from_=spec.from_, to=spec.to, status="error", error=error)
    assert accepted == (good, "/app/a", "b", None)


@pytest.mark.parametrize("value", [b"", b"\xff\0", bytearray(b"abc"), memoryview(b"abcdef")[::2]])
def test_bytes_are_an_input_as_they_are(value: bytes | bytearray | memoryview) -> None:
    assert check_request(RunRequest(image="busybox", input=value)).input == bytes(value)


def test_a_callers_buffer_is_copied() -> None:
    buffer = bytearray(b"before")
    plan = check_request(RunRequest(image="busybox", input=buffer))
    buffer[:] = b"after!"
    assert plan.input == b"before"


@given(json_values)
def test_any_json_is_an_input(value: object) -> None:
    data = check_request(RunRequest(image="busybox", input=value)).input
    if value is None:
        assert data is None
    else:
        assert isinstance(data, bytes)
        assert msgspec.json.decode(data) == value


@given(value=any_values, text=any_text)
def test_any_value_in_any_field(value: Any, text: str) -> None:
    """A request is checked, or refused with RuleViolation: never another exception."""
    for field in RunRequest.__struct_fields__:
        fields: dict[str, Any] = {"image": "busybox", field: value}
        blamed = field
        try:
            check_request(RunRequest(**fields))
        except RuleViolation as refusal:
            blamed = refusal.field
        assert blamed.startswith(field)
    check_request(RunRequest(image="busybox", extract=[ExtractSpec(text, text), ExtractSpec(value, value)]))


def test_limits_and_terminal() -> None:
    plain = check_request(RunRequest(image="busybox"))
    assert (plain.cpu_timeout, plain.output_limit, plain.tty_size, plain.input) == (math.inf, None, None, None)
    plan = check_request(
        RunRequest(image="busybox", cpu_timeout=2, output_limit=5, tty=True, tty_size=(5, 6), input="x")
    )
    assert (plan.cpu_timeout, plan.output_limit, plan.tty_size, plan.input) == (2.0, 5, (5, 6), b'"x"\x04\x04')
    assert check_request(RunRequest(image="busybox", tty=True)).input == b"\x04"


not_a_path: Any = 3
DETACHABLE = RunRequest(image="busybox", timeout=1, extract=[ExtractSpec("a", "b"), ExtractSpec("", Path("c"))])


def test_a_request_that_can_be_detached() -> None:
    check_detachable(DETACHABLE)


@pytest.mark.parametrize(
    ("field", "fields", "value", "match"),
    [
        ("input", {"input": 0}, 0, "no stdin"),
        ("input", {"input": b""}, b"", "no stdin"),
        ("capture_output", {"capture_output": True}, True, "pass on_log to attach"),
        ("cpu_timeout", {"cpu_timeout": 1.5}, 1.5, "watch its CPU time"),
        ("output_limit", {"output_limit": 5}, 5, "count its output"),
        ("tty", {"tty": True}, True, "no terminal"),
        ("extract[0].to", {"extract": [ExtractSpec("a", "\udcff")]}, "\udcff", "UTF-8"),
        ("extract[0].to", {"extract": [ExtractSpec("a", Path("\udcff"))]}, "\udcff", "UTF-8"),
        ("extract[1].from_", {"extract": [ExtractSpec("a", "b"), ExtractSpec("\ud800", "b")]}, "\ud800", "UTF-8"),
        ("extract[0].to", {"extract": [ExtractSpec("a", not_a_path)]}, not_a_path, "not a str but int"),
    ],
)
def test_what_a_detached_run_cannot_have(field: str, fields: dict[str, Any], value: object, match: str) -> None:
    with violation(field, value, match):
        check_detachable(msgspec.structs.replace(DETACHABLE, **fields))


def test_the_default_options() -> None:
    assert check_options(RunnerOptions())._asdict() == {
        "memory_bytes": 512 * MIB,
        "nano_cpus": 10**9,
        "runtime": "runc",
        "gpus": None,
        "no_new_privileges": True,
        "pids": 100,
        "read_only": False,
        "tmpfs": {},
        "ulimits": (),
        "seccomp": None,
        "userns": None,
        "disk_bytes": None,
        "registry_auth": {},
        "usage": False,
        "max_extract_bytes": GIB,
        "build_timeout": 600.0,
    }


def test_options_with_everything() -> None:
    options = RunnerOptions(
        memory="1g",
        cpus="0.5",
        runtime="runsc",
        gpus="device=0",
        no_new_privileges=False,
        pids=20,
        tmpfs={"/scratch": ""},
        ulimits={"core": 0},
        seccomp='{"defaultAction": "SCMP_ACT_ERRNO"}',
        userns="remap",
        disk="1g",
        registry_auth={"https://r:5000/v2/": RegistryAuth("me", "x")},
        max_extract_bytes=1,
        max_concurrent=3,
        build_timeout=None,
    )
    assert check_options(options)._asdict() == {
        "memory_bytes": GIB,
        "nano_cpus": 5 * 10**8,
        "runtime": "runsc",
        "gpus": GpuRequest(0, ("0",)),
        "no_new_privileges": False,
        "pids": 20,
        "read_only": False,
        "tmpfs": {"/scratch": f"size={GIB // 2}"},
        "ulimits": (Ulimit("core", 0, 0),),
        "seccomp": '{"defaultAction":"SCMP_ACT_ERRNO"}',
        "userns": "remap",
        "disk_bytes": GIB,
        "registry_auth": {"r:5000": RegistryAuth("me", "x")},
        "usage": False,
        "max_extract_bytes": 1,
        "build_timeout": math.inf,
    }


def test_a_disk_that_is_read_only_has_no_limit() -> None:
    assert check_options(RunnerOptions(read_only=True)).read_only
    with violation("disk", "1g", "read-only"):
        check_options(RunnerOptions(read_only=True, disk="1g"))


def test_a_profile_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{ "defaultAction": "SCMP_ACT_ERRNO" }')
    assert check_options(RunnerOptions(seccomp=path)).seccomp == '{"defaultAction":"SCMP_ACT_ERRNO"}'
    path.write_bytes(b"\xff")
    with violation("seccomp", path, "not a seccomp profile"):
        check_options(RunnerOptions(seccomp=path))


def test_a_tmpfs_has_no_place_at_the_workdir() -> None:
    sandbox = check_options(RunnerOptions(tmpfs={"/app": "1m", "/scratch": "1m"}, read_only=True))
    check_mounts(check_request(RunRequest(image="i", workdir="/work")), sandbox)
    check_mounts(check_request(RunRequest(image="i", workdir="/tmp")), sandbox)  # noqa: S108  # the container's
    with violation("workdir", "/app", "is a tmpfs of the runner"):
        check_mounts(check_request(RunRequest(image="i")), sandbox)


@pytest.mark.parametrize("limit", [None, 1, 1000, trio.CapacityLimiter(2)])
def test_limits_of_concurrency(limit: int | trio.CapacityLimiter | None) -> None:
    assert check_options(RunnerOptions(max_concurrent=limit))


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("memory", "lots", "not a size"),
        ("cpus", 0, "minimum"),
        ("runtime", "--x", "name of a runtime"),
        ("gpus", "all; id", "shell-safe"),
        ("no_new_privileges", None, "not True or False"),
        ("no_new_privileges", 0, "not True or False"),
        ("max_extract_bytes", 0, "at least 1 byte"),
        ("max_concurrent", 0, "at least 1"),
        ("max_concurrent", True, "at least 1"),
        ("max_concurrent", 1.5, "at least 1"),
        ("max_concurrent", "2", "at least 1"),
        ("tls", "yes", "not an ssl.SSLContext"),
        ("tls", True, "not an ssl.SSLContext"),
        ("build_timeout", -1, "more than 0"),
        ("pids", 0, "number of processes"),
        ("read_only", 1, "not True or False"),
        ("tmpfs", "/scratch", "not a mapping"),
        ("ulimits", [], "not a mapping"),
        ("seccomp", "/", "no such file"),
        ("seccomp", "/nowhere/profile.json", "no such file"),
        ("userns", "none", "not 'remap'"),
        ("disk", "0", "from 1 byte up"),
    ],
)
def test_options_that_are_refused(field: str, value: Any, match: str) -> None:
    with violation(field, value, match):
        check_options(RunnerOptions(**{field: value}))


class Source:
    """An async iterable of bytes."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise NotImplementedError


@pytest.mark.parametrize("tty", [False, True])
def test_a_run_with_a_source_has_a_stdin_that_is_empty_before_it(*, tty: bool) -> None:
    request = RunRequest(image="i", tty=tty)
    assert check_stdin(check_request(request), request, Source()).input == b""


@pytest.mark.parametrize(
    ("stdin", "given", "match"), [(b"bytes", None, "async iterable"), ([b""], None, "async"), (Source(), b"", "input")]
)
def test_what_is_no_source(stdin: object, given: bytes | None, match: str) -> None:
    request = RunRequest(image="i", input=given)
    with pytest.raises(RuleViolation, match=match) as raised:
        check_stdin(check_request(request), request, stdin)
    assert raised.value.field == "stdin"
