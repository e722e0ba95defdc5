"""A builder's messages, including some that no builder sends: scripted, byte by byte."""

import json

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from lightrunner.testing import chunked, in_turn, json_answer
from tests.fake_daemon import fake_daemon
from tests.images.builds import Lines, with_steps

STEPS = ("echo one", "echo " + "x" * 300)
NOT_FOUND = json_answer({"message": "no such image"}, status=404)
FOUND = json_answer({"Id": "sha256:1", "Config": {"User": ""}})


def messages(*streams: str) -> bytes:
    """Output of a build."""
    return b"".join(json.dumps({"stream": stream}).encode() + b"\r\n" for stream in streams)


async def prepare(*answer: bytes, cut: bool = False) -> Lines:
    """Prepare `STEPS` on a daemon whose build answers like this."""
    lines = Lines()
    # Asked for are the cache image, twice, the base, and the cache image again.
    script = {"image_build": chunked(*answer, cut=cut), "image_inspect": in_turn(NOT_FOUND, NOT_FOUND, FOUND)}
    async with fake_daemon(script) as daemon, DockerRunner(host=daemon.host) as runner:
        await runner.prepare(with_steps("base", *STEPS), on_progress=lines)
    return lines


async def failure(*answer: bytes, cut: bool = False) -> str:
    """How `prepare` fails."""
    with pytest.raises(LightRunnerError) as raised:
        await prepare(*answer, cut=cut)
    assert raised.value.code is LightRunnerErrorCode.BUILD_FAILED
    return raised.value.message


async def test_each_stream_has_its_lines() -> None:
    lines = await prepare(
        messages("Step 2/4 : RUN echo one", "\n", " ---> Running in 0123456789ab\n", "o", "\x1b[91merr", "\x1b[0m"),
        messages("ut\nno newline", "\x1b[91mor\n\x1b[0m", "Removing intermediate container 0123456789ab\n"),
    )
    assert lines.texts == [
        "Step 2/4 : RUN echo one",
        " ---> Running in 0123456789ab",
        "o\x1b[91merr\x1b[0mut",  # Not a message of the builder's: the step has coloured its own output.
        "or",
        "no newline",
        "Removing intermediate container 0123456789ab",
    ]


async def test_what_a_step_wrote_before_another_failed_is_not_told() -> None:
    output = messages("Step 2/4 : RUN echo one", "\n", "one\n", f"Step 3/4 : RUN {STEPS[1]}", "\n", "the end\n")
    message = await failure(output, b'{"errorDetail":{"code":3,"message":"code 3"}}')
    shown = "echo " + "x" * 195 + "…"
    assert message == f"the build failed in step 2 of 2 ({shown!r}): code 3\nThe end of its output:\nthe end"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b'{"error":"no space left on device"}', "before its first step: no space left on device"),
        (b'{"errorDetail":{}}', "no reason given"),
        (b'{"stream":"Step 1', "ended inside a message"),
        (b"<html>", "not a progress message"),
        (b'{"stream":1}', "not a progress message"),
        (b'{"stream":"\xff"}', "not UTF-8"),
    ],
)
async def test_what_is_no_success_is_a_failure(answer: bytes, told: str) -> None:
    assert told in await failure(answer)


async def test_a_lone_surrogate_is_no_reason_to_fail() -> None:
    assert (await prepare(b'{"stream":"a\\ud800b\\n"}')).texts == ["a?b"]


async def test_a_connection_that_is_lost_is_told() -> None:
    with pytest.raises(LightRunnerError) as raised:
        await prepare(messages("Step 1/4 : FROM base", "\n"), cut=True)
    assert raised.value.code is LightRunnerErrorCode.DOCKER_UNREACHABLE
