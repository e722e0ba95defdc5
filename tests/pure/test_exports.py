"""Every public name is public on purpose: exported once, documented, typed."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest

import lightrunner
import lightrunner.asyncio
import lightrunner.engine
import lightrunner.testing

from .source_tree import ROOT, modules

MODULES = modules()
PUBLIC = [lightrunner, lightrunner.asyncio, lightrunner.engine, lightrunner.testing]
ROOMS = (
    "cli",
    "detached",
    "doctor",
    "engine.wire",
    "files",
    "host",
    "images",
    "init",
    "mcp",
    "networks",
    "rules",
    "runs",
    "serve",
    "sandbox",
    "warm",
)
PACKAGES = [*PUBLIC, *(importlib.import_module(f"lightrunner.{name}") for name in ROOMS)]


def exports(package: ModuleType) -> dict[str, object]:
    """The names that a package exports; what else it binds is its own modules."""
    return {
        name: value
        for name, value in vars(package).items()
        if not name.startswith("_") and f"{package.__name__}.{name}" not in MODULES
    }


def own_methods(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """The public functions of a class, those of its properties included, and how it is made."""
    for name, value in vars(cls).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        function = inspect.unwrap(function) if callable(function) else function
        is_public = name == "__init__" or not name.startswith("_")
        if is_public and isinstance(function, FunctionType) and function.__module__ in MODULES:
            yield name, function


def unannotated(function: FunctionType) -> list[str]:
    """The parameters without a type, and "return" where the result has none."""
    signature = inspect.signature(function)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is parameter.empty and name not in {"self", "cls"}
    ]
    return [*missing, *(["return"] if signature.return_annotation is signature.empty else [])]


each_public_package = pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
each_public_class = pytest.mark.parametrize(
    "cls",
    [value for package in PUBLIC for value in exports(package).values() if isinstance(value, type)],
    ids=lambda cls: cls.__name__,
)


@each_public_package
def test_a_package_holds_nothing_but_exports(package: ModuleType) -> None:
    docstring, *statements = MODULES[package.__name__].tree.body
    assert isinstance(docstring, ast.Expr)
    for statement in statements:
        assert isinstance(statement, ast.ImportFrom), ast.unparse(statement)
        assert [alias.asname for alias in statement.names] == [alias.name for alias in statement.names]
    assert len(exports(package)) > 10


@each_public_package
def test_every_export_says_what_it_is(package: ModuleType) -> None:
    for name, value in exports(package).items():
        doc = vars(value).get("__doc__") if isinstance(value, type) else inspect.getdoc(value)
        assert doc, f"{name} has no docstring"
        assert not doc.startswith(f"{name}("), f"{name} has the docstring that Python makes"


@each_public_class
def test_every_method_says_what_it_does(cls: type) -> None:
    assert [name for name, method in own_methods(cls) if name != "__init__" and not method.__doc__] == []


@each_public_class
def test_every_signature_is_annotated(cls: type) -> None:
    assert {name: missing for name, method in own_methods(cls) if (missing := unannotated(method))} == {}


@each_public_package
def test_every_function_is_annotated(package: ModuleType) -> None:
    functions = [value for value in exports(package).values() if isinstance(value, FunctionType)]
    assert {function.__name__: missing for function in functions if (missing := unannotated(function))} == {}


@each_package
def test_the_layout_names_every_module_that_there_is(package: ModuleType) -> None:
    folder = MODULES[package.__name__].path.parent
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
    folders = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    layout = package.__doc__ or ""
    named = {*re.findall(r"\w+\.py\b", layout), *re.findall(r"^\w+/ ", layout, re.MULTILINE)}
    assert {name.strip() for name in named} == files | folders


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").is_file()
