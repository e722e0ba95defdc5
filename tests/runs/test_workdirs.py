"""The workdir: the command starts in it, and it is a volume, whatever its name."""

import pytest

from lightrunner import DockerRunner
from tests.runs.conftest import CommittedImage, ImageVariant
from tests.runs.shell_runs import Run, shell

WHERE = 'pwd; touch file && ls; grep -c " $(pwd) " /proc/self/mounts'


async def test_the_default_is_app(run: Run, busybox: str) -> None:
    assert (await run(shell(busybox, WHERE))).stdout == b"/app\nfile\n1\n"


@pytest.mark.parametrize(
    "workdir", ["/work", "/a/deep/path", "/usr/local/src", "/app:ro", "/with space", "/ünï", "/a,b"]
)
async def test_another_one_is_made_and_writable(runner: DockerRunner, busybox: str, workdir: str) -> None:
    result = await runner.run(shell(busybox, "pwd; touch file && ls", workdir=workdir))
    assert (result.stdout, result.stderr) == (f"{workdir}\nfile\n".encode(), b"")


@pytest.mark.parametrize(("spelling", "workdir"), [("/w/", "/w"), ("//w//x", "/w/x"), ("/./w/.", "/w")])
async def test_it_may_be_spelled_at_length(runner: DockerRunner, busybox: str, spelling: str, workdir: str) -> None:
    result = await runner.run(shell(busybox, "pwd", workdir=spelling))
    assert result.stdout == f"{workdir}\n".encode()


async def test_the_request_overrides_the_images_workdir(run: Run, image_variant: ImageVariant) -> None:
    image = image_variant("workdir", "WORKDIR /data")
    assert (await run(shell(image, "pwd"))).stdout == b"/app\n"


async def test_it_may_be_a_symlink_in_the_image(run: Run, committed_image: CommittedImage) -> None:
    image = committed_image("linked", "mkdir /real && echo image >/real/own && ln -s /real /link")
    result = await run(shell(image, "pwd -P; cat own; touch file && ls /real", workdir="/link"))
    assert (result.stdout, result.stderr) == (b"/real\nimage\nfile\nown\n", b"")


@pytest.mark.parametrize("workdir", ["/app", "/data", "/fresh/one"])
async def test_another_user_can_write_it(runner: DockerRunner, image_variant: ImageVariant, workdir: str) -> None:
    image = image_variant("as-app-in-data", "USER app", "WORKDIR /data")
    result = await runner.run(shell(image, "id -un; touch file && ls", workdir=workdir))
    assert (result.stdout, result.stderr) == (b"app\nfile\n", b"")
