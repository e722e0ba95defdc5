"""Images from a registry that asks who pulls: with credentials of the runner, of the CLI's file, and of helpers."""

import base64
import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from lightrunner import LightRunnerError, LightRunnerErrorCode, Progress, RegistryAuth, RunRequest
from tests.conftest import run_volumes
from tests.runs.conftest import CommittedImage, MakeRunner
from tests.runs.shell_runs import shell
from tools.raw_engine import RawEngine
from tools.registry import Registry, running_registry

USER, PASSWORD = "puller", "s3cret:with-a-colon"  # of no other registry
NAME = "lightrunner-test/private"
PULL_FAILED = LightRunnerErrorCode.IMAGE_PULL_FAILED


@pytest.fixture(scope="module")
def registry(raw: RawEngine) -> Iterator[Registry]:
    with running_registry(raw, {USER: PASSWORD}) as registry:
        yield registry


@pytest.fixture
def image(raw: RawEngine, registry: Registry, busybox: str) -> Iterator[str]:
    """An image that the registry has and the engine has not."""
    registry.push(busybox, NAME, "1")
    name = f"{registry.address}/{NAME}:1"
    yield name
    if raw.has_image(name):
        raw.request("DELETE", f"/images/{name}")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Docker CLI's config file, which there is none of yet. Helpers go beside it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "config.json"


def write(config: Path, value: object) -> None:
    """Write the file."""
    config.write_text(json.dumps(value))


def helper(config: Path, script: str) -> None:
    """Write a helper called "test"."""
    path = config.parent / "docker-credential-test"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def auths(registry: Registry, password: str = PASSWORD, *, key: str = "{}") -> dict[str, Any]:
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return {"auths": {key.format(registry.address): {"auth": token}}}


async def pulled(make_runner: MakeRunner, image: str, **options: Any) -> bytes | None:
    async with make_runner(**options) as runner:
        return (await runner.run(shell(image, "echo pulled"))).stdout


async def refused(make_runner: MakeRunner, image: str, match: str, **options: Any) -> LightRunnerError:
    async with make_runner(**options) as runner:
        with pytest.raises(LightRunnerError, match=match) as caught:
            await runner.run(shell(image, "true"))
    assert caught.value.code == PULL_FAILED
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in shown
    assert base64.b64encode(PASSWORD.encode()).decode()[:12] not in shown
    return caught.value


async def test_credentials_in_code(
    make_runner: MakeRunner, registry: Registry, image: str, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(config, (auths(registry, "wrong")))
    progress: list[Progress] = []
    with caplog.at_level(logging.DEBUG):
        async with make_runner(registry_auth={registry.address: RegistryAuth(USER, PASSWORD)}) as runner:
            await runner.prepare(RunRequest(image=image), on_progress=progress.append)
            result = await runner.run(shell(image, "echo pulled"))
    assert result.stdout == b"pulled\n"
    assert progress[-1].status.startswith("Status: Downloaded newer image")
    assert "s3cret" not in caplog.text
    assert "X-Registry-Auth" not in caplog.text or base64.b64encode(b'"s3cret').decode()[:8] not in caplog.text


@pytest.mark.parametrize("key", ["{}", "http://{}/v1/", "https://{}"])
async def test_credentials_in_the_config_file(
    make_runner: MakeRunner, registry: Registry, image: str, config: Path, key: str
) -> None:
    write(config, (auths(registry, key=key)))
    assert await pulled(make_runner, image) == b"pulled\n"


@pytest.mark.parametrize("kind", ["credsStore", "credHelpers"])
async def test_credentials_of_a_helper(
    make_runner: MakeRunner, registry: Registry, image: str, config: Path, kind: str
) -> None:
    answer = json.dumps({"ServerURL": registry.address, "Username": USER, "Secret": PASSWORD})
    helper(config, f'test "$1" = get && test "$(cat)" = {registry.address} && echo \'{answer}\'')
    named: dict[str, Any] = (
        {"credsStore": "test"} if kind == "credsStore" else {"credHelpers": {registry.address: "test"}}
    )
    write(config, (auths(registry, "wrong") | named))
    assert await pulled(make_runner, image) == b"pulled\n"


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("echo credentials not found in native keychain; exit 1", "no basic auth credentials|unauthorized"),
        (
            "echo s3cret; echo s3cret >&2; exit 3",
            "sent: docker-credential-test failed with exit status 3",
        ),
        ("echo s3cret", "docker-credential-test has an answer for .* that is not a helper's"),
    ],
)
async def test_helpers_that_have_none(
    make_runner: MakeRunner, image: str, config: Path, *, script: str, match: str
) -> None:
    helper(config, script)
    write(config, {"credsStore": "test"})
    await refused(make_runner, image, match)


async def test_a_helper_that_hangs(
    make_runner: MakeRunner, image: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightrunner.engine.credentials.HELPER_TIMEOUT", 0.5)
    helper(config, "exec sleep 60")
    write(config, {"credsStore": "test"})
    await refused(make_runner, image, "docker-credential-test did not answer within 0.5 s")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"credsStore": "missing"}', "docker-credential-missing cannot be run: No such file"),
        ('{"credsStore": "../x"}', "names 'docker-credential-../x' as the program"),
        ('{"auths": {"ADDRESS": {"auth": "s3cret!"}}}', "has credentials for .* that are malformed"),
        ('{"auths": {"ADDRESS": {"auth": "czNjcmV0"}}}', "has credentials for .* that are malformed"),
        ('{"auths": {"ADDRESS": {}}}', "no basic auth credentials|unauthorized"),
        ('{"auths": {"ADDRESS": {"username": "puller", "password": "s3cret"}}}', "unauthorized"),
        ('{"auths": {"ADDRESS": {"identitytoken": "s3cret"}}}', "unauthorized|no basic auth"),
        ('{"auths": ["s3cret"]}', "not in the Docker CLI's format"),
    ],
)
async def test_config_files_that_do_not_help(
    make_runner: MakeRunner, registry: Registry, image: str, config: Path, *, content: str, match: str
) -> None:
    async with make_runner() as runner:
        write(config, json.loads(content.replace("ADDRESS", registry.address)))
        with pytest.raises(LightRunnerError, match=match) as caught:
            await runner.run(shell(image, "true"))
    assert caught.value.code == PULL_FAILED
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_a_wrong_password_and_an_unknown_tag(make_runner: MakeRunner, registry: Registry, image: str) -> None:
    wrong = {registry.address: RegistryAuth(USER, "s3cret-wrong")}
    await refused(make_runner, image, "unauthorized", registry_auth=wrong)
    right = {registry.address: RegistryAuth(USER, PASSWORD)}
    await refused(make_runner, f"{image}-absent", "not found", registry_auth=right)


async def test_a_registry_that_is_down(make_runner: MakeRunner) -> None:
    await refused(make_runner, "127.0.0.1:15009/x:1", "connection refused")


async def test_pull_never_and_always(
    make_runner: MakeRunner, registry: Registry, image: str, change: Callable[[], None]
) -> None:
    auth = {registry.address: RegistryAuth(USER, PASSWORD)}
    async with make_runner(registry_auth=auth) as runner:
        for _ in range(2):
            with pytest.raises(LightRunnerError, match=f"does not have {image}, and pull is 'never'") as caught:
                await runner.run(shell(image, "true", pull="never"))
            assert caught.value.code == PULL_FAILED
        first = await runner.run(shell(image, "cat /which || echo old", pull="always"))
        change()
        missing = await runner.run(shell(image, "cat /which || echo old"))
        never = await runner.run(shell(image, "cat /which || echo old", pull="never"))
        always = await runner.run(shell(image, "cat /which || echo old", pull="always"))
    assert [result.stdout for result in (first, missing, never, always)] == [b"old\n"] * 3 + [b"new\n"]


async def test_a_private_base_of_setup_steps(
    make_runner: MakeRunner, registry: Registry, image: str, raw: RawEngine, change: Callable[[], None]
) -> None:
    auth = {registry.address: RegistryAuth(USER, PASSWORD)}
    request = shell(image, "cat /which || echo old; cat /step", run=["echo step >/step"])
    always = shell(image, "cat /which || echo old; cat /step", run=["echo step >/step"], pull="always")
    async with make_runner(registry_auth=auth) as runner:
        first = await runner.run(request)
        built = await runner.prepare(always)
        unchanged = raw.get(f"/images/{built}/json")["Id"]
        again = await runner.run(always)
        assert raw.get(f"/images/{built}/json")["Id"] == unchanged
        change()
        cached = await runner.run(request)
        anew = await runner.run(always)
        await runner.cleanup_orphan_cache(0.0)
    assert [result.stdout for result in (first, again, cached, anew)] == [b"old\nstep\n"] * 3 + [b"new\nstep\n"]


async def test_a_pull_that_is_cancelled_leaves_nothing(
    make_runner: MakeRunner, registry: Registry, image: str, raw: RawEngine
) -> None:
    async with make_runner(registry_auth={registry.address: RegistryAuth(USER, PASSWORD)}) as runner:
        with trio.CancelScope() as scope:
            await runner.run(shell(image, "true"), on_progress=lambda _: scope.cancel())
        assert scope.cancelled_caught
        assert not run_volumes(raw)
        assert (await runner.run(shell(image, "echo pulled"))).stdout == b"pulled\n"


@pytest.fixture
def change(raw: RawEngine, registry: Registry, busybox: str, committed_image: CommittedImage) -> Callable[[], None]:
    """Give the registry a new image; the engine keeps the old one."""
    new = committed_image("changed", "echo new >/which")

    def change() -> None:
        registry.push(new, NAME, "1")  # Takes the name from the engine's image.
        raw.request("POST", f"/images/{busybox}/tag", query={"repo": f"{registry.address}/{NAME}", "tag": "1"})

    return change
