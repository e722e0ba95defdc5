"""The workdir is writable for the image's user, and the image's files in it keep their modes."""

from pathlib import Path

import pytest

from lightrunner import DockerRunner
from tests.runs.conftest import CommittedImage, ImageVariant
from tests.runs.host_folders import lay_out
from tests.runs.shell_runs import Run, shell

FURNISH = """
mkdir -m 755 /own && echo of the image > /own/kept && ln -s /own /link && ln -s own /relative
mkdir -p -m 700 /private/inner && chmod 750 /private
"""
USERS = ["app", "app:app", "1000", "1000:1000", "4321:4321"]
LINES = b"of the host\nnew\n"


@pytest.fixture(scope="session")
def furnished(committed_image: CommittedImage) -> dict[str, str]:
    """Images for each user, with folders that belong to root, and links to one."""
    return {
        user: committed_image(f"furnished-{number}", FURNISH, User=user) for number, user in enumerate(["root", *USERS])
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "source", {"seeded": "of the host\n", "sub/seeded": "x"})


@pytest.mark.parametrize("user", USERS)
async def test_what_is_seeded_can_be_read_changed_and_removed(
    runner: DockerRunner, furnished: dict[str, str], source: Path, user: str
) -> None:
    script = "cat seeded; echo new > sub/new; echo x >> seeded; cat sub/new; rm -r sub seeded; mkdir more; ls"
    result = await runner.run(shell(furnished[user], script, dir=source))
    assert (result.stdout, result.stderr) == (LINES + b"more\n", b"")


@pytest.mark.parametrize(
    "workdir", ["/own", "/link", "/relative", "/own/below", "/w/x/y/z", "/home/app", "/home/app/w"]
)
async def test_any_workdir_is_writable(
    runner: DockerRunner, furnished: dict[str, str], source: Path, workdir: str
) -> None:
    script = "cat seeded; echo new > new; cat new"
    result = await runner.run(shell(furnished["1000:1000"], script, dir=source, workdir=workdir))
    assert (result.stdout, result.stderr) == (LINES, b"")


@pytest.mark.parametrize("workdir", ["/app", "/own", "/link", "/w/x/y/z"])
async def test_it_is_writable_without_a_dir_too(run: Run, furnished: dict[str, str], workdir: str) -> None:
    result = await run(shell(furnished["app"], "id -un; echo new > new; cat new", workdir=workdir))
    assert (result.stdout, result.stderr) == (b"app\nnew\n", b"")


@pytest.mark.parametrize("user", ["app", "root"])
@pytest.mark.parametrize("workdir", ["/own", "/link"])
async def test_the_images_own_content_is_kept(
    runner: DockerRunner, furnished: dict[str, str], source: Path, user: str, workdir: str
) -> None:
    script = "cat kept seeded; stat -c '%a %u:%g' kept; ls /own"
    result = await runner.run(shell(furnished[user], script, dir=source, workdir=workdir))
    assert (result.stdout, result.stderr) == (b"of the image\nof the host\n644 0:0\nkept\nseeded\nsub\n", b"")


@pytest.mark.parametrize("with_dir", [True, False])
async def test_the_workdir_of_a_root_image_keeps_its_mode(
    runner: DockerRunner, furnished: dict[str, str], source: Path, *, with_dir: bool
) -> None:
    request = shell(furnished["root"], "stat -c %a . inner", dir=source if with_dir else None, workdir="/private")
    assert (await runner.run(request)).stdout == b"750\n700\n"


@pytest.mark.parametrize("spelling", ["", "0:0", "root:1000"])
async def test_root_has_many_spellings(
    runner: DockerRunner, image_variant: ImageVariant, source: Path, spelling: str
) -> None:
    image = image_variant(f"root-{spelling.replace(':', '-') or 'unset'}", *([f"USER {spelling}"] if spelling else []))
    result = await runner.run(shell(image, "id -u; stat -c %a .; cat seeded", dir=source))
    assert result.stdout == b"0\n755\nof the host\n"
