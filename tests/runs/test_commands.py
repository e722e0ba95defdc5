"""The command of a run: the request's entrypoint in a shell, or the image's own command."""

import pytest

from lightrunner import LightRunnerError, LightRunnerErrorCode, RunRequest
from tests.runs.conftest import ImageVariant
from tests.runs.shell_runs import Run, shell


def own(image: str) -> RunRequest:
    """A request that leaves the command to the image."""
    return RunRequest(image=image, network="none", capture_output=True)


async def test_an_entrypoint_is_a_shell_command(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, 'for word in "a  b" c; do echo "<$word>" | tr a-z A-Z; done && echo $0'))
    assert result.stdout == b"<A  B>\n<C>\nsh\n"


async def test_the_image_runs_its_own_cmd(run: Run, image_variant: ImageVariant) -> None:
    image = image_variant("cmd", 'CMD ["echo", "from", "CMD"]')
    assert (await run(own(image))).stdout == b"from CMD\n"


async def test_the_image_runs_its_own_entrypoint_with_its_cmd(run: Run, image_variant: ImageVariant) -> None:
    image = image_variant("entrypoint", 'ENTRYPOINT ["echo", "from ENTRYPOINT"]', 'CMD ["with", "CMD"]')
    assert (await run(own(image))).stdout == b"from ENTRYPOINT with CMD\n"


async def test_an_entrypoint_overrides_both_of_the_image(run: Run, image_variant: ImageVariant) -> None:
    image = image_variant("entrypoint", 'ENTRYPOINT ["echo", "from ENTRYPOINT"]', 'CMD ["with", "CMD"]')
    assert (await run(shell(image, 'echo "$# arguments"'))).stdout == b"0 arguments\n"


async def test_a_command_that_the_shell_does_not_find_is_a_result(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "no-such-program --flag"))
    assert result.exit_code == 127
    assert result.stderr is not None
    assert b"no-such-program: not found" in result.stderr


@pytest.mark.needs("statuses")
async def test_a_command_of_the_image_that_is_not_there_cannot_start(run: Run, image_variant: ImageVariant) -> None:
    with pytest.raises(LightRunnerError) as raised:
        await run(own(image_variant("lost-cmd", 'CMD ["/no/such/program"]')))
    error = raised.value
    assert error.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert '"/no/such/program": stat /no/such/program: no such file or directory' in error.message
    assert error.docker_op == "container_start"
    assert error.container_id
    assert error.to_dict() == {
        "code": "CONTAINER_START_FAILED",
        "message": error.message,
        "docker_op": "container_start",
        "container_id": error.container_id,
    }


@pytest.mark.needs("statuses")
async def test_an_image_without_a_command_is_refused_in_the_daemons_words(
    run: Run, image_variant: ImageVariant
) -> None:
    with pytest.raises(LightRunnerError, match=r"(?i)no command specified") as raised:
        await run(own(image_variant("no-cmd", "CMD []")))
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert raised.value.docker_op == "container_create"
