"""./dev reads its own options among those that it passes on."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

DEV = Path(__file__).parents[2] / "dev"


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    loader = SourceFileLoader("dev_script", str(DEV))
    spec = importlib.util.spec_from_loader("dev_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dev_script"] = module
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("arguments", "value", "rest"),
    [
        ([], None, []),
        (["-q", "tests/pure"], None, ["-q", "tests/pure"]),
        (["--engine", "28.5"], "28.5", []),
        (["--engine=all", "-q"], "all", ["-q"]),
        (["-q", "--engine", "all", "tests/runs"], "all", ["-q", "tests/runs"]),
    ],
)
def test_an_option_and_the_rest(dev: ModuleType, arguments: list[str], value: str | None, rest: list[str]) -> None:
    assert dev.value(arguments, "--engine") == value
    assert dev.without(arguments, "--engine") == rest
    assert dev.given(arguments, "--engine") == (value is not None)
