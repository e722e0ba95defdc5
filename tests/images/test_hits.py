"""A first request builds, and an identical one finds the image; `prepare`, and the progress of both."""

import logging
from pathlib import Path

import pytest

from lightrunner import DockerRunner, RunRequest
from lightrunner.images.cache_usage import last_uses
from lightrunner.rules.limits import CACHE_KIND, LABEL_KIND
from tests.images.builds import Daemon, Lines, with_steps
from tests.runs.conftest import ImageVariant, MakeRunner

ONE_RUN = ["container create", "container attach", "container start", "container die", "container destroy"]


def run_actions(daemon: Daemon) -> list[str]:
    """What containers and images did; volumes and networks left out."""
    return [action for action in daemon.actions() if action.startswith(("container", "image"))]


async def test_the_second_run_starts_no_build(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    request = with_steps(busybox, "echo made > /file", "mkdir /folder", script="cat /file; ls -d /folder")
    first = await runner.run(request)
    assert first.stdout == b"made\n/folder\n"
    actions = run_actions(daemon)
    assert actions.count("image tag") == 1
    assert actions.count("container create") > len(request.run)

    daemon.forget_actions()
    lines = Lines()
    second = await runner.run(request, on_progress=lines)
    assert second.stdout == first.stdout
    assert run_actions(daemon) == ONE_RUN
    assert lines.messages == []
    assert second.timings.image < first.timings.image


async def test_another_entrypoint_starts_no_build(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    await runner.run(with_steps(busybox, "echo made > /file"))
    daemon.forget_actions()
    result = await runner.run(with_steps(busybox, "echo made > /file", script="wc -c < /file"))
    assert result.stdout == b"5\n"
    assert run_actions(daemon) == ONE_RUN


async def test_another_runner_starts_no_build(make_runner: MakeRunner, busybox: str, daemon: Daemon) -> None:
    async with make_runner() as runner:
        await runner.run(with_steps(busybox, "true"))
    daemon.forget_actions()
    async with make_runner() as runner:
        await runner.run(with_steps(busybox, "true"))
    assert run_actions(daemon) == ONE_RUN


async def test_prepare_builds_what_a_run_starts_from(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    request = with_steps(busybox, "echo prepared > /file", script="cat /file")
    lines = Lines()
    tag = await runner.prepare(request, on_progress=lines)
    assert daemon.tags() == [tag]
    assert "Step 2/3 : RUN echo prepared > /file" in lines.texts

    daemon.forget_actions()
    assert (await runner.run(request)).stdout == b"prepared\n"
    assert run_actions(daemon) == ONE_RUN


async def test_prepare_without_steps_names_the_image(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    assert await runner.prepare(RunRequest(image=busybox)) == busybox
    assert run_actions(daemon) == []


async def test_a_cache_image_is_labelled(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    tag = await runner.prepare(with_steps(busybox, "true"))
    config = daemon.raw.get(f"/images/{tag}/json")["Config"]
    assert config["Labels"] == {LABEL_KIND: CACHE_KIND}


async def test_the_command_is_the_images_own(runner: DockerRunner, image_variant: ImageVariant) -> None:
    image = image_variant("cmd", 'CMD ["echo", "from", "CMD"]')
    request = RunRequest(image=image, run=["true"], network="none", capture_output=True)
    assert (await runner.run(request)).stdout == b"from CMD\n"


async def test_lines_come_as_the_step_writes_them(runner: DockerRunner, busybox: str) -> None:
    lines = Lines()
    await runner.prepare(with_steps(busybox, "echo first; sleep 2; echo second"), on_progress=lines)
    assert lines.time_of("second") - lines.time_of("first") > 1.0


async def test_uses_are_recorded(runner: DockerRunner, busybox: str) -> None:
    request = with_steps(busybox, "true")
    tag = await runner.prepare(request)
    built = last_uses()[tag]
    await runner.run(request)
    assert last_uses().keys() == {tag}
    assert last_uses()[tag] > built


async def test_no_run_is_lost_where_uses_cannot_be_recorded(
    runner: DockerRunner, busybox: str, unusable_state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "lightrunner"):
        result = await runner.run(with_steps(busybox, "true", script="echo ran"))
    assert result.stdout == b"ran\n"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(unusable_state_dir) in caplog.text
