"""The maps of the source tree, in the documentation and in `lightrunner`'s docstring, name every package and module."""

import re

import pytest

import lightrunner

from .source_tree import ROOT

PAGE = (ROOT.parent.parent / "docs" / "source.md").read_text()
MAPS = {
    "the docstring of lightrunner/__init__.py": lightrunner.__doc__ or "",
    "docs/source.md": PAGE.split("```")[1].removeprefix("\n"),
}


@pytest.mark.parametrize("where", MAPS)
def test_a_map_names_every_package_and_module_and_no_other(where: str) -> None:
    present = {path.name if path.is_file() else f"{path.name}/" for path in ROOT.iterdir() if _is_source(path.name)}
    text = re.sub(r"(?m)^(src/lightrunner/|tests/.*|bench/.*)$", "", MAPS[where])
    named = set(re.findall(r"(?m)^ *([a-z_]+/)|\b([a-z_]+\.py)\b", text))
    named_alone = {folder or module for folder, module in named} - {"run.py"}
    assert named_alone == present, f"{where} is out of date"


def _is_source(name: str) -> bool:
    return not name.startswith("__") and name != "py.typed"
