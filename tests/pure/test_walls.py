"""The walls that an option moves: what the engine gets, and what is refused."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from lightrunner.rules.limits import MAX_PIDS, MAX_PROFILE_BYTES, MIB
from lightrunner.rules.violation import RuleViolation
from lightrunner.rules.walls import (
    Ulimit,
    parse_pids,
    parse_seccomp,
    parse_tmpfs,
    parse_ulimits,
    parse_userns,
)

from .strategies import any_values
from .violations import violation

ERRNO = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "no such file", path)


@pytest.mark.parametrize("value", [1, 100, MAX_PIDS])
def test_pids(value: int) -> None:
    assert parse_pids("pids", value) == value


@pytest.mark.parametrize("value", [0, -1, MAX_PIDS + 1, True, 1.5, "100", None])
def test_pids_that_are_refused(value: object) -> None:
    with violation("pids", value, "not a number of processes"):
        parse_pids("pids", value)


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("", f"size={MIB}"),
        ("64m", f"size={64 * MIB}"),
        (4096, "size=4096"),
        ("size=1k,mode=0700,uid=1,gid=2,nr_inodes=5,exec", "size=1024,mode=0700,uid=1,gid=2,nr_inodes=5,exec"),
        ("mode=1777", f"mode=1777,size={MIB}"),
        ("ro", f"ro,size={MIB}"),
    ],
)
def test_a_tmpfs(value: str | int, options: str) -> None:
    assert parse_tmpfs("tmpfs", {"//scratch/./a/": value}, MIB) == {"/scratch/a": options}


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("scratch", "not an absolute path"),
        ("/", "the root is the image's"),
        ("/a/../b", r"contains '\.\.'"),
        ("/a\0", "NUL"),
        (3, "not a str"),
        ("/proc", "/proc belongs to the container runtime"),
        ("/sys/fs", "/sys belongs to the container runtime"),
        ("/dev", "/dev belongs to the container runtime"),
        ("/run/secrets", "secrets"),
        ("/run/secrets/a", "secrets"),
    ],
)
def test_places_where_no_tmpfs_may_be(path: object, match: str) -> None:
    with violation("tmpfs path", path, match):
        parse_tmpfs("tmpfs", {path: "1m"}, MIB)


def test_shared_memory_may_have_another_size() -> None:
    assert parse_tmpfs("tmpfs", {"/dev/shm": "1m"}, MIB) == {"/dev/shm": f"size={MIB}"}  # noqa: S108  # the container's


def test_one_place_has_one_tmpfs() -> None:
    with violation("tmpfs path", "/a/", "given twice"):
        parse_tmpfs("tmpfs", {"/a": "1m", "/a/": "2m"}, MIB)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (0, "from 1 byte up"),
        (True, "not a size"),
        (None, "not a size"),
        ("64 lightyears", "not a size"),
        ("size=lots", "not a size"),
        ("size=1m,size=2m", "'size' is given twice"),
        ("mode=rwx", "'mode=rwx' is not an option of tmpfs"),
        ("uid=root", "'uid=root' is not an option"),
        ("suid", "'suid' is not one of tmpfs's options: size, gid, mode"),
        ("dev", "'dev' is not one of"),
        ("exec=1", "'exec=1' is not one of"),
        ("size=1m,", "'' is not one of"),
        ("shared", "'shared' is not one of"),
    ],
)
def test_options_of_a_tmpfs_that_are_refused(value: object, match: str) -> None:
    with pytest.raises(RuleViolation, match=match) as caught:
        parse_tmpfs("tmpfs", {"/a": value}, MIB)
    assert caught.value.field == "tmpfs['/a']"


def test_ulimits() -> None:
    limits = {"nofile": 1024, "cpu": (1, 2), "core": 0, "stack": -1, "nproc": (5, -1)}
    assert parse_ulimits("ulimits", limits) == (
        Ulimit("nofile", 1024, 1024),
        Ulimit("cpu", 1, 2),
        Ulimit("core", 0, 0),
        Ulimit("stack", -1, -1),
        Ulimit("nproc", 5, -1),
    )


@pytest.mark.parametrize("limit", [-2, "1", 1.5, True, None, (1,), (1, 2, 3), (1, "2"), [1, 2], 2**63])
def test_limits_that_are_none(limit: object) -> None:
    with violation("ulimits['nofile']", limit, "not a limit or a tuple"):
        parse_ulimits("ulimits", {"nofile": limit})


@pytest.mark.parametrize("limit", [(2, 1), (-1, 1)])
def test_a_soft_limit_above_the_hard_one(limit: object) -> None:
    with violation("ulimits['cpu']", limit, "soft limit is above"):
        parse_ulimits("ulimits", {"cpu": limit})


@pytest.mark.parametrize("name", ["as", "NOFILE", "", 3])
def test_limits_that_the_engine_does_not_have(name: object) -> None:
    with violation("ulimits name", name, "not one of core, cpu"):
        parse_ulimits("ulimits", {name: 1})


@pytest.mark.parametrize("value", [None, [], "nofile=3", 3])
@pytest.mark.parametrize("field", ["tmpfs", "ulimits"])
def test_what_is_no_mapping(field: str, value: object) -> None:
    with violation(field, value, "not a mapping"):
        parse_tmpfs(field, value, MIB) if field == "tmpfs" else parse_ulimits(field, value)


@pytest.mark.parametrize("value", [json.dumps(ERRNO, indent=2), f"\n {json.dumps(ERRNO)}", ERRNO])
def test_a_profile_is_sent_as_short_json(value: object) -> None:
    assert parse_seccomp("seccomp", value, no_file) == json.dumps(ERRNO, separators=(",", ":"))


@pytest.mark.parametrize("path", ["profile.json", Path("profile.json")])
def test_a_profile_is_read_from_its_file(path: object) -> None:
    read: list[str] = []

    def read_text(name: str) -> str:
        read.append(name)
        return json.dumps(ERRNO)

    assert json.loads(parse_seccomp("seccomp", path, read_text)) == ERRNO
    assert read == ["profile.json"]


def test_dockers_first_form_of_a_rule() -> None:
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW"}]}
    assert json.loads(parse_seccomp("seccomp", profile, no_file)) == profile


RECURSIVE: dict[str, Any] = dict(ERRNO)
RECURSIVE["flags"] = RECURSIVE


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("unconfined", "Seccomp is never off"),
        (" unconfined\n", "Seccomp is never off"),
        ("builtin", "not a profile"),
        ("", "is empty"),
        ("missing.json", "cannot be read: no such file"),
        (3, "not a str or a path"),
        ("{", "in JSON"),
        ("{" * 100_000, "in JSON"),
        ("{}", "its defaultAction is None"),
        ({}, "its defaultAction is None"),
        ({"defaultAction": "ALLOW"}, "its defaultAction is 'ALLOW'"),
        ({"defaultAction": ["SCMP_ACT_ERRNO"]}, "its defaultAction is"),
        ({"defaultAction": "SCMP_ACT_ALLOW"}, "allows every system call"),
        ({"defaultAction": "SCMP_ACT_LOG", "syscalls": []}, "allows every system call"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_LOG"}]},
            "allows every system call",
        ),
        ({**ERRNO, "DefaultAction": "SCMP_ACT_ALLOW"}, "no field 'DefaultAction'"),
        ({3: 4}, "no field 3"),
        ({**ERRNO, "syscalls": {}}, "no names, no action"),
        ({**ERRNO, "syscalls": ["mkdir"]}, "no names, no action"),
        ({**ERRNO, "syscalls": [{"names": ["mkdir"]}]}, "no names, no action"),
        ({**ERRNO, "syscalls": [{"names": "mkdir", "action": "SCMP_ACT_ERRNO"}]}, "no names, no action"),
        ({**ERRNO, "syscalls": [{"action": "SCMP_ACT_ERRNO"}]}, "no names, no action"),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "Action": "SCMP_ACT_ALLOW"}],
            },
            "unknown field",
        ),
        ({**ERRNO, "defaultErrnoRet": float("nan")}, "in JSON"),
        ({**ERRNO, "flags": {1, 2}}, "in JSON"),
        (RECURSIVE, "in JSON"),
        ("{" + " " * MAX_PROFILE_BYTES + "}", "more than"),
    ],
)
def test_profiles_that_are_refused(value: object, match: str) -> None:
    with violation("seccomp", value, match):
        parse_seccomp("seccomp", value, no_file)


@pytest.mark.parametrize("content", ["[]", "3", "unconfined", "", "\udcff"])
def test_files_that_are_no_profile(content: str) -> None:
    with violation("seccomp", "file", "not a seccomp profile"):
        parse_seccomp("seccomp", "file", lambda _: content)


@pytest.mark.parametrize("value", [None, "host", "remap"])
def test_user_namespaces(value: object) -> None:
    assert parse_userns("userns", value) == value


@pytest.mark.parametrize("value", ["", "Host", "container:x", 1, ["host"]])
def test_user_namespaces_that_are_refused(value: object) -> None:
    with violation("userns", value, "not 'remap'"):
        parse_userns("userns", value)


@given(any_values)
def test_any_value(value: object) -> None:
    for check in (
        lambda: parse_pids("f", value),
        lambda: parse_tmpfs("f", value, MIB),
        lambda: parse_tmpfs("f", {"/a": value}, MIB),
        lambda: parse_ulimits("f", value),
        lambda: parse_ulimits("f", {"cpu": value}),
        lambda: parse_seccomp("f", value, no_file),
        lambda: parse_seccomp("f", {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": value}, no_file),
        lambda: parse_userns("f", value),
    ):
        with suppress(RuleViolation):
            check()
