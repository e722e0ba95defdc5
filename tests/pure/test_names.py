"""The names and paths of a request: which are accepted, their normal form, and why others are refused."""

import os
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import pytest

from lightrunner.rules import names

from .violations import violation

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest", "pull_tag"),
    [
        ("busybox", "busybox", None, None, "latest"),
        ("python:3.12-alpine", "python", "3.12-alpine", None, "3.12-alpine"),
        ("library/a.b_c__d--e/f", "library/a.b_c__d--e/f", None, None, "latest"),
        ("localhost:5000/team/app:1", "localhost:5000/team/app", "1", None, "1"),
        ("Registry.Example.COM/app", "Registry.Example.COM/app", None, None, "latest"),
        ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app", None, None, "latest"),
        (f"app@sha256:{HEX}", "app", None, f"sha256:{HEX}", f"sha256:{HEX}"),
        (f"app:1@sha256:{HEX}", "app", "1", f"sha256:{HEX}", f"sha256:{HEX}"),
        (f"sha256:{HEX}", "sha256", HEX, None, HEX),
        (HEX, HEX, None, None, "latest"),
        ("a:" + "t" * 128, "a", "t" * 128, None, "t" * 128),
        ("n" * 255, "n" * 255, None, None, "latest"),
    ],
)
def test_images(text: str, name: str, tag: str | None, digest: str | None, pull_tag: str) -> None:
    image = names.parse_image("image", text)
    assert image == (text, name, tag, digest)
    assert image.pull_tag == pull_tag


NO_IMAGES = [
    *("Busybox", "library/Busybox", "--privileged", "-a", "a-", "a..b", "a___b", "a b", " a", "a ", "a\n", "\na"),
    *("a:", ":a", "a:t a", "a:-t", "a:" + "t" * 129, "a/", "/a", "a//b", "../a", "a/../b", "host:port/a", "[::1/a"),
    *("a@", "a@sha256:" + HEX[:31], "a@sha256:xyz", "a@256:" + HEX, "http://a/b", "a?b", "a#b", "a;b", "$(a)", "a\\b"),
    *("ä", "a\u0131", "a:\u0661", "a" * 2049, "-" * 2049),
]


@pytest.mark.parametrize("text", NO_IMAGES)
def test_what_is_no_image(text: str) -> None:
    with violation("image", text, "not an image reference"):
        names.parse_image("image", text)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("", "an image is required"),
        (None, "not a str but NoneType"),
        (b"busybox", "not a str but bytes"),
        ("a\0b", "NUL"),
        ("a\udcff", "UTF-8"),
        ("n" * 256, "longer than 255"),
        ("a/" * 127 + "bc", "longer than 255"),
    ],
)
def test_images_that_are_refused_for_another_reason(value: object, match: str) -> None:
    with violation("image", value, match):
        names.parse_image("image", value)


def test_environment() -> None:
    env = {
        "PATH": "/bin",
        "_a1": "",
        "text": "a=b\nc ü",
        "1a": "x",
        "a-b": "x",
        "": "x",
        "a=b": "x",
        "ä": "x",
        "A\n": "x",
    }
    entries = ["PATH=/bin", "_a1=", "text=a=b\nc ü"]
    dropped = ["1a", "a-b", "", "a=b", "ä", "A\n"]
    assert names.parse_env("env", MappingProxyType(env)) == (entries, dropped)
    assert names.parse_env("env", {}) == ([], [])


@pytest.mark.parametrize(
    ("env", "field", "value", "match"),
    [
        (["A=b"], "env", ["A=b"], "not a mapping"),
        ("A=b", "env", "A=b", "not a mapping"),
        (None, "env", None, "not a mapping"),
        ({"A": 1}, "env['A']", 1, "not a str but int"),
        ({"A": None}, "env['A']", None, "not a str but NoneType"),
        ({"A": b"b"}, "env['A']", b"b", "not a str but bytes"),
        ({"A": "x\0y"}, "env['A']", "x\0y", "NUL"),
        ({"not a name": "\ud800"}, "env['not a name']", "\ud800", "UTF-8"),
        ({1: "b"}, "env name", 1, "not a str but int"),
        ({"A\0": "b"}, "env name", "A\0", "NUL"),
    ],
)
def test_environments_that_are_refused(env: object, field: str, value: object, match: str) -> None:
    with violation(field, value, match):
        names.parse_env("env", env)


@pytest.mark.parametrize("name", ["none", "bridge", "light-runner-isolated", "a.b_c-1", HEX, "n" * 255])
def test_networks_and_runtimes(name: str) -> None:
    assert names.check_network("network", name) == name
    assert names.check_runtime("runtime", name) == name


@pytest.mark.parametrize(
    "value", ["", "-a", ".a", "a b", "a/b", "container:x", "a\n", "ä", "n" * 256, "a;b", "a\0", 1, None]
)
def test_what_is_no_network_and_no_runtime(value: object) -> None:
    with violation("network", value):
        names.check_network("network", value)
    with violation("runtime", value):
        names.check_runtime("runtime", value)


def test_the_network_of_the_host_is_no_isolation() -> None:
    with violation("network", "host", "not isolated"):
        names.check_network("network", "host")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/app", "/app"),
        ("//a/./b//", "/a/b"),
        ("/app:ro", "/app:ro"),
        ("/ä b\n", "/ä b\n"),
        ("/..a/b..", "/..a/b.."),
        ("/" + "x" * 4094, "/" + "x" * 4094),
    ],
)
def test_workdirs(text: str, path: str) -> None:
    assert names.parse_workdir("workdir", text) == path


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("", "not an absolute path"),
        ("app", "not an absolute path"),
        ("./app", "not an absolute path"),
        ("/", "root cannot be the workdir"),
        ("//./", "root cannot be the workdir"),
        ("/..", r"contains '\.\.'"),
        ("/a/../b", r"contains '\.\.'"),
        ("/a\0", "NUL"),
        ("/\udcff", "UTF-8"),
        ("/" + "ä" * 2048, "longer than 4095 bytes"),
        (None, "not a str"),
        (PurePosixPath("/app"), "not a str"),
    ],
)
def test_workdirs_that_are_refused(value: object, match: str) -> None:
    with violation("workdir", value, match):
        names.parse_workdir("workdir", value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/app/out", "/app/out"),
        ("out", "/w/d/out"),
        ("./out/", "/w/d/out"),
        (".", "/w/d"),
        ("//a", "/a"),
        ("...", "/w/d/..."),
    ],
)
def test_sources_of_an_extract(text: str, path: str) -> None:
    assert names.parse_extract_source("from_", text, "/w/d") == path


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("", "is empty"),
        ("/", "the root"),
        ("/.", "the root"),
        ("..", r"contains '\.\.'"),
        ("a/../b", r"contains '\.\.'"),
        ("a\0", "NUL"),
        ("x" * 4092, "longer than 4095 bytes"),
        (None, "not a str"),
    ],
)
def test_sources_that_are_refused(value: object, match: str) -> None:
    with violation("from_", value, match):
        names.parse_extract_source("from_", value, "/w/d")


class Opaque(os.PathLike[bytes]):
    """A path object of bytes, which text is asked for instead of."""

    def __fspath__(self) -> bytes:
        return b"/bytes"


NOT_UTF8 = os.fsdecode(b"/caf\xe9")


@pytest.mark.parametrize("value", ["relative", "/a/../b", " ", NOT_UTF8, "~", Path("/a/b"), Path(NOT_UTF8)])
def test_host_paths(value: str | Path) -> None:
    assert names.parse_host_path("dir", value) == str(value)


@pytest.mark.parametrize("value", ["relative", "/a..b", "/", Path("/a/./b")])
def test_targets_of_an_extract(value: str | Path) -> None:
    assert names.parse_extract_target("to", value) == str(value)


@pytest.mark.parametrize(
    ("value", "shown", "match"),
    [
        ("", "", "is empty"),
        ("/a\0", "/a\0", "NUL"),
        ("/\ud800", "/\ud800", "cannot be encoded"),
        (None, None, "not a str or a path object but NoneType"),
        (3, 3, "not a str or a path object but int"),
        (b"/a", b"/a", "not a str or a path object but bytes"),
        (Opaque(), b"/bytes", "not a str or a path object but bytes"),
        (Path("/a\0"), "/a\0", "NUL"),
    ],
)
def test_host_paths_that_are_refused(value: object, shown: object, match: str) -> None:
    with violation("dir", shown, match):
        names.parse_host_path("dir", value)
    with violation("to", shown, match):
        names.parse_extract_target("to", value)


@pytest.mark.parametrize("value", ["..", "../a", "a/../b", "/a/..", Path("a/../b")])
def test_a_target_with_dots_is_refused(value: object) -> None:
    with violation("to", value, r"contains '\.\.'"):
        names.parse_extract_target("to", value)
