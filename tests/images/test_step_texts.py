"""Steps of every kind reach the builder unchanged."""

import re

import pytest

from fuzz.builds import BuilderChecks
from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from tests.images.builds import Daemon, Lines, with_steps
from tests.pure.strategies_steps import HARMLESS
from tests.runs.conftest import ImageVariant


@pytest.mark.timeout(600)  # Fifty containers, one after the other.
async def test_fifty_steps_run_in_order(runner: DockerRunner, busybox: str) -> None:
    steps = [f"echo {number} >> /log" for number in range(50)]
    result = await runner.run(with_steps(busybox, *steps, script="cat /log"))
    assert result.stdout == b"".join(b"%d\n" % number for number in range(50))


async def test_long_foreign_and_unfinished_output(runner: DockerRunner, busybox: str) -> None:
    lines = Lines()
    words = "word " * 12_000 + "end"
    steps = [f"echo {words} | wc -c > /size", "echo 'ünï 漢字 🙂' | tee /text", "printf 'no newline'", "echo"]
    result = await runner.run(with_steps(busybox, *steps, script="cat /size /text"), on_progress=lines)
    assert result.stdout == f"{len(words) + 1}\nünï 漢字 🙂\n".encode()
    assert "ünï 漢字 🙂" in lines.texts
    # Its line ends where the builder's own begins, and an empty line stays one.
    at = lines.texts.index("no newline")
    assert re.match(r"(Removing| ---> Removed) intermediate container ", lines.texts[at + 1])  # 20.10; later ones
    assert "" in lines.texts[at + 1 :]


async def test_the_images_user_takes_the_steps(runner: DockerRunner, image_variant: ImageVariant) -> None:
    image = image_variant("as-app", "USER app")
    result = await runner.run(with_steps(image, "id -u > /tmp/user", script="cat /tmp/user; id -u; touch here"))
    assert (result.stdout, result.exit_code) == (b"1000\n1000\n", 0)


def test_the_builder_gets_the_text_of_each_step(engine_host: str, daemon: Daemon) -> None:
    assert daemon.tags() == []
    BuilderChecks(engine_host).check_build([step for step in HARMLESS if len(step) < 100][:8])


def test_that_look_can_fail(engine_host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.builds.accepted", tuple)
    with pytest.raises(AssertionError):
        BuilderChecks(engine_host).check_build(['["/bin/busybox", "echo", "the exec form"]'])


async def test_a_step_that_breaks_a_rule_is_named_and_nothing_is_built(
    runner: DockerRunner, busybox: str, daemon: Daemon
) -> None:
    with pytest.raises(LightRunnerError) as raised:
        await runner.run(with_steps(busybox, "echo fine", "--mount=type=bind,source=/,target=/host cat /host/x"))
    assert raised.value.code is LightRunnerErrorCode.INVALID_RUN_STEP
    assert raised.value.message.startswith("run[1]='--mount=type=bind,source=/,target=/host cat /host/x': begins with")
    assert daemon.actions() == []
    assert daemon.tags() == []
