"""The imports between packages follow the table, and each third-party package has its importers."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from .source_tree import PACKAGE, Import, Module, imports, modules

MODULES = modules()
IMPORTS = {name: imports(module, set(MODULES)) for name, module in MODULES.items()}

ENGINE = f"{PACKAGE}.engine"
RULES = f"{PACKAGE}.rules"
TRANSPORT = f"{ENGINE}.transport"
DOWNLOAD = f"{ENGINE}.download"
WIRE = {name for name in MODULES if name.startswith(f"{ENGINE}.wire")}
PURE_ENGINE = {
    f"{ENGINE}.{name}" for name in ("connection", "endpoint", "errors", "frames", "progress", "registries")
} | WIRE
BACKEND = f"{ENGINE}.backend"
UPGRADED = f"{ENGINE}.upgraded"
TESTING = f"{PACKAGE}.testing"
ARROWS: dict[str, set[str]] = {
    "asyncio": {"runner", "swarm", "warm", "sandbox", "detached", "runs"},
    "runner": {"warm", "sandbox", "detached", "runs", "images", "init", "networks"},
    "doctor": {"detached", "networks"},
    "swarm": {"warm", "runs", "files", "images"},
    "warm": {"runs", "networks", "files", "images", "init"},
    "sandbox": {"runs", "networks", "files", "images", "init"},
    "detached": {"runs", "files"},
    "runs": {"files", "images", "init", "networks"},
    "files": set(),
    "images": set(),
    "init": set(),
    "networks": {"init"},
    "host": set(),
    "testing": set(),
    "engine": set(),
    "rules": set(),
}
"""The packages, and `runner` with what else is on top of them: which packages each may import."""

FRONT: dict[str, set[str]] = {
    "serve": set(),
    "mcp": {"sandbox", "serve"},
    "cli": {"detached", "doctor", "mcp", "serve"},
    "__main__": {"cli"},
}
"""What stands in front of the library and uses its public names: which packages each may import beside them."""

PURE_SANDBOX = {f"{PACKAGE}.sandbox.{name}" for name in ("order", "protocol")}

TOP = {"runner", "sync"}
"""Modules on top of the packages."""

SHARED = {
    "admission",
    "errors",
    "keywords",
    "nurseries",
    "plan",
    "pool",
    "requests",
    "resources",
    "results",
    "telemetry",
    "trio_thread",
}
"""Modules that every package but `engine` and `rules` may import, as it may import these two and `host`."""

EXTRAS = {
    f"{PACKAGE}.cli.app": {"rich_argparse"},
    f"{PACKAGE}.cli.completion": {"argcomplete"},
    f"{PACKAGE}.cli.progress": {"rich"},
    f"{PACKAGE}.serve.server": {"hypercorn"},
    f"{PACKAGE}.mcp.server": {"mcp", "mcp_types"},
}
"""Who may import what an extra brings, and only where it is used: without the extra there is no such module."""

DEPENDENCIES = {"httpx", "trio", "msgspec"}
HTTP = {
    TRANSPORT: {"httpx", "httpcore"},
    BACKEND: {"httpcore"},
    UPGRADED: {"httpcore"},
    DOWNLOAD: {"h11"},
    f"{TESTING}.http": {"h11"},
    f"{TESTING}.engine": {"h11"},
}
"""Who may import what of HTTP: httpx one module alone, httpcore that one and the one that brings it the caller's own
connections, and h11 the one that reads archives past them, and the fake daemon."""


TELEMETRY = {f"{PACKAGE}.telemetry", f"{ENGINE}.tracing"}
"""Who may import OpenTelemetry, where the program has."""


def targets(name: str) -> set[str]:
    return {target for target, _ in IMPORTS[name]}


def ours(name: str) -> set[str]:
    """The library's own modules that one imports."""
    return targets(name) & set(MODULES)


def others(name: str) -> set[str]:
    """What one imports of others than the standard library."""
    return {target.partition(".")[0] for target in targets(name) - set(MODULES)} - sys.stdlib_module_names


def below(package: str) -> set[str]:
    """A package and all that is in it."""
    return {name for name in MODULES if name == package or name.startswith(f"{package}.")}


def test_there_is_something_to_check() -> None:
    assert {PACKAGE, ENGINE, RULES, TRANSPORT, f"{RULES}.limits", f"{PACKAGE}.plan"} | PURE_ENGINE <= set(MODULES)
    assert f"{RULES}.names" in ours(f"{PACKAGE}.plan")


def room(name: str) -> str:
    """The package of a module, or its own name where it is in none; both without the library's."""
    return name.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def may_import(importing: str) -> set[str]:
    """The rooms whose modules one of this room may import, its own included."""
    if importing == "":  # What a user imports: names of all.
        return {*ARROWS, *SHARED, *TOP, ""}
    if importing in {"engine", "rules"}:
        return {importing}
    below = {"engine", "rules", "host", *SHARED}
    if importing in FRONT:
        return below | FRONT[importing] | {importing, ""}
    if importing in TOP:
        return below | TOP | ARROWS["runner"]
    if importing in SHARED or importing == "host":
        return below
    return below | ARROWS[importing] | {importing}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_follow_the_arrows(name: str) -> None:
    assert {room(target) for target in ours(name)} <= may_import(room(name))


def test_every_module_has_its_place() -> None:
    assert {room(name) for name in MODULES} == {*ARROWS, *FRONT, *SHARED, *TOP, ""}
    assert {package for package in (*ARROWS, *FRONT) if package not in {"runner", "__main__"}} == {
        room(name) for name, module in MODULES.items() if module.is_package
    } - {""}


def test_the_arrows_have_no_circle() -> None:
    assert set(TopologicalSorter(ARROWS).static_order()) == set(ARROWS)


@pytest.mark.parametrize("name", sorted(below(RULES)))
def test_rules_import_the_standard_library_alone(name: str) -> None:
    assert others(name) == set()


@pytest.mark.parametrize("name", sorted(PURE_ENGINE))
def test_what_is_pure_in_the_engine_stays_so(name: str) -> None:
    assert ours(name) <= PURE_ENGINE
    assert others(name) <= {"msgspec"}


@pytest.mark.parametrize("name", sorted(below(RULES) | PURE_ENGINE | PURE_SANDBOX))
def test_what_is_pure_does_no_io(name: str) -> None:
    assert not targets(name) & {"asyncio", "pathlib", "shutil", "socket", "subprocess", "tempfile", "threading"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_one_module_alone_imports_httpx(name: str) -> None:
    assert others(name) & {"httpx", "httpcore", "h11"} == HTTP.get(name, set())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_dependencies_are_three(name: str) -> None:
    allowed = DEPENDENCIES | HTTP.get(name, set()) | EXTRAS.get(name, set())
    allowed |= {"opentelemetry"} if name in TELEMETRY else set[str]()
    assert others(name) <= allowed


@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_extras_are_imported_where_they_are_used(name: str) -> None:
    wanted = {it for it in IMPORTS[name] if it.target.partition(".")[0] in EXTRAS[name]}
    assert {it.target.partition(".")[0] for it in wanted} == EXTRAS[name]
    assert all(it.lazily for it in wanted)


def test_there_is_no_circle() -> None:
    order = TopologicalSorter({name: ours(name) for name in MODULES})
    assert set(order.static_order()) == set(MODULES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import trio.socket as x, json", {Import("trio.socket"), Import("json")}),
        ("from os.path import join", {Import("os.path")}),
        ("from . import wire", {Import("a.b.wire")}),
        ("from .wire import encode", {Import("a.b.wire")}),
        ("from ..c import d, e", {Import("a.c.d"), Import("a.c")}),
        ("from .. import c", {Import("a.c")}),
        ("from a.b.wire import encode", {Import("a.b.wire")}),
        ("def f():\n    if x:\n        import httpcore", {Import("httpcore", lazily=True)}),
        ("x = 'import trio'", set[Import]()),
    ],
)
def test_imports_are_read_as_they_are_meant(source: str, expected: set[Import]) -> None:
    known = {"a", "a.b", "a.b.wire", "a.c", "a.c.d"}
    tree = ast.parse(source)
    assert imports(Module("a.b.this", Path("this.py"), tree), known) == expected
    if not source.startswith("from .."):
        assert imports(Module("a.b", Path("__init__.py"), tree), known) == expected
