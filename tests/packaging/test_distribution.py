"""The wheel and the sdist as a user gets them: built, installed into an empty environment, imported, type-checked."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import lightrunner

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lightrunner"
PROGRAM = ROOT / "tests" / "typing" / "user_program.py"

NEEDS = {
    "lightrunner",
    *("httpx", "httpcore", "h11", "anyio", "certifi", "idna"),
    *("trio", "attrs", "outcome", "sniffio", "sortedcontainers"),
    "msgspec",
    "typing-extensions",  # anyio's, on older Pythons
}
"""httpx, trio, msgspec and what they need."""

INSTALLERS = {"pip", "setuptools"}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist of the sources, and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, without extras, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    return python


def test_the_wheel_has_every_file_of_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        (licence,) = [name for name in archive.namelist() if name.endswith("LICENSE")]
        assert "MIT" in archive.read(licence).decode()
    files = [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert packed == {str(path.relative_to(SOURCE.parent)) for path in files}
    assert "lightrunner/py.typed" in packed


def test_the_sdist_has_what_its_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    documents = {"README.md", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml", "dev"}
    assert documents <= names
    assert {"tests/conftest.py", "tools/private_engine.py", "bench/harness.py", "docs/embedding.md"} <= names


def test_an_installation_brings_the_three_dependencies_and_their_needs(installed: Path) -> None:
    listed = json.loads(run(installed, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"))
    names = {package["name"].lower().replace("_", "-") for package in listed} - INSTALLERS
    assert names <= NEEDS
    assert {"lightrunner", "httpx", "trio", "msgspec"} <= names


def test_an_installation_works(installed: Path, tmp_path: Path) -> None:
    program = """
import lightrunner, lightrunner.asyncio, lightrunner.engine, lightrunner.testing
try:
    lightrunner.run_sync(lightrunner.RunRequest(image="busybox"), host="unix:///nowhere.sock")
except lightrunner.LightRunnerError as error:
    print(error.code, lightrunner.__file__)
"""
    code, _, place = run(installed, "-c", program, cwd=tmp_path).strip().partition(" ")
    assert code == "DOCKER_UNREACHABLE"
    assert Path(place).is_relative_to(installed.parents[1])
    assert place != lightrunner.__file__


def test_a_users_program_under_mypy(installed: Path, tmp_path: Path) -> None:
    command = ["-m", "mypy", "--strict", "--config-file", "", "--python-executable", str(installed)]
    (tmp_path / "user_program.py").write_text(PROGRAM.read_text())
    run(sys.executable, *command, "user_program.py", cwd=tmp_path)


def test_a_users_program_under_pyright(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "user_program.py").write_text(PROGRAM.read_text())
    strict = {
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": True,
        "enableTypeIgnoreComments": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(strict))
    run(sys.executable, "-m", "pyright", "--pythonpath", installed, cwd=tmp_path)
