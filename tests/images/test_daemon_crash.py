"""A daemon that dies during a build."""

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, Progress
from tests.images.builds import Daemon, with_steps
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

pytestmark = pytest.mark.private_engine


async def test_a_builder_that_is_killed_midway_leaves_no_tag() -> None:
    with PrivateEngine() as engine:
        raw = RawEngine(engine.host)
        image = ensure_busybox(raw)
        request = with_steps(image, "echo started; sleep 2; echo made > /file", script="cat /file")

        def crash(message: Progress) -> None:
            if message.status == "started":
                engine.crash()

        async with DockerRunner(host=engine.host) as runner:
            with pytest.raises(LightRunnerError) as raised:
                await runner.run(request, on_progress=crash)
            assert raised.value.code is LightRunnerErrorCode.DOCKER_UNREACHABLE

            engine.start()  # In this thread, which lives on: the engine's processes end with the one that starts them.
            assert Daemon(raw).tags() == []
            assert (await runner.run(request)).stdout == b"made\n"
