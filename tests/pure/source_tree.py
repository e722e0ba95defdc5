"""The library as it is written: its modules, and what each of them imports."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lightrunner

ROOT = Path(lightrunner.__file__).parent
PACKAGE = lightrunner.__name__


class Module(NamedTuple):
    """One file of the library."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether this is an ``__init__.py``."""
        return self.path.name == "__init__.py"


class Import(NamedTuple):
    """A module that is imported by its absolute name; `lazily` where that is not done at the top of the file."""

    target: str
    lazily: bool = False


def modules() -> dict[str, Module]:
    """All modules by name."""
    found = [_module(path) for path in sorted(ROOT.rglob("*.py"))]
    return {module.name: module for module in found}


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text()))


def imports(module: Module, known: set[str]) -> set[Import]:
    """What a module imports, wherever in it. ``from x import y`` means ``x.y`` where that is one of the `known`."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    top = set(module.tree.body)
    return {
        Import(target, node not in top)
        for node in ast.walk(module.tree)
        for target in _targets(node, package)
        for target in [target if target in known or not isinstance(node, ast.ImportFrom) else target.rpartition(".")[0]]
    }


def _targets(node: ast.AST, package: str) -> Iterator[str]:
    """The names that an import statement may bind, each with its module in front."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        outer = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*outer, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
