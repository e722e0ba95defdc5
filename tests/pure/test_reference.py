"""The documentation names everything that is public, and nothing else."""

import importlib
import re
from pathlib import Path

import pytest

import lightrunner

from .test_exports import PUBLIC, exports

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

_MODULE = re.compile(r"^\.\. currentmodule:: (\S+)$", re.MULTILINE)
_NAME = re.compile(r"^\.\. (?:auto\w+|py:data):: (\w+)$", re.MULTILINE)


def documented(module: str) -> list[str]:
    """The names of a module on the pages of the reference."""
    pages = [page.read_text() for page in sorted(REFERENCE.glob("*.md"))]
    return [name for page in pages if _MODULE.findall(page) == [module] for name in _NAME.findall(page)]


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_the_reference_is_complete(package: object) -> None:
    module = importlib.import_module(getattr(package, "__name__", ""))
    names = documented(module.__name__)
    assert sorted(names) == sorted(set(names))
    # What lightrunner.asyncio takes over from lightrunner is on lightrunner's pages.
    taken_over = {name for name, value in exports(module).items() if getattr(lightrunner, name, None) is value}
    assert set(names) == set(exports(module)) - (taken_over if module is not lightrunner else set()) - {"wire"}
