"""Pulls from a real registry: by tag, by digest, with progress, and failing."""

import json
import os
from collections.abc import Iterator

import pytest

from lightrunner.engine import EngineClient, EngineNotFound, EngineResponseError, ProgressMessage
from tests.engine.containers import get_files, tar_of
from tools.raw_engine import RawEngine
from tools.registry import Registry, running_registry

NAME = "lightrunner-test/pulled"
CONTENT = os.urandom(3_000_000)
"""It cannot be compressed, so the layer is as large on the way."""


@pytest.fixture(scope="module")
def registry(raw: RawEngine) -> Iterator[Registry]:
    with running_registry(raw) as registry:
        yield registry


@pytest.fixture
async def digest(client: EngineClient, registry: Registry) -> str:
    """Of an image that the registry has with the tag "there", and the engine has not."""
    await client.image_import(tar_of({"file": CONTENT}), repo=NAME, tag="source")
    digest = registry.push(f"{NAME}:source", NAME, "there")
    await client.image_delete(f"{NAME}:source")
    return digest


@pytest.fixture
def repository(registry: Registry) -> str:
    return f"{registry.address}/{NAME}"


async def test_pull_by_tag_tells_how_far_each_layer_is(client: EngineClient, digest: str, repository: str) -> None:
    messages: list[ProgressMessage] = []
    await client.image_pull(repository, tag="there", on_progress=messages.append)
    pulled = await client.image_inspect(f"{repository}:there")
    assert pulled.repo_digests == [f"{repository}@{digest}"]
    assert messages[0].status == f"Pulling from {NAME}"
    layers = {message.id for message in messages if message.status == "Pull complete"}
    assert len(layers) == 1
    downloading = [message for message in messages if message.status == "Downloading"]
    assert {message.id for message in downloading} == layers
    current = [message.detail.current or 0 for message in downloading]
    assert current == sorted(current)
    assert all(0 < at <= (message.detail.total or 0) for at, message in zip(current, downloading, strict=True))
    assert {message.detail.total for message in downloading} == {downloading[0].detail.total}
    assert (downloading[0].detail.total or 0) > len(CONTENT)
    assert messages[-1].status == f"Status: Downloaded newer image for {repository}:there"
    await client.image_delete(f"{repository}:there")


async def test_pull_by_digest(client: EngineClient, digest: str, repository: str) -> None:
    await client.image_pull(repository, tag=digest)
    pulled = await client.image_inspect(f"{repository}@{digest}")
    assert pulled.repo_digests == [f"{repository}@{digest}"]
    await client.image_delete(f"{repository}@{digest}")


@pytest.mark.usefixtures("digest")
async def test_an_unknown_tag_is_told_by_the_daemon(client: EngineClient, repository: str) -> None:
    with pytest.raises(EngineNotFound, match=f"manifest for {repository}:absent not found") as caught:
        await client.image_pull(repository, tag="absent")
    assert caught.value.operation == "image_create"


async def test_an_unknown_repository_is_told_by_the_daemon(client: EngineClient, repository: str) -> None:
    with pytest.raises(EngineResponseError, match=f"{repository}-not:latest not found"):
        await client.image_pull(f"{repository}-not", tag="latest")


async def test_a_layer_that_was_tampered_with_fails_though_the_status_was_200(
    client: EngineClient, registry: Registry, digest: str, repository: str
) -> None:
    messages: list[ProgressMessage] = []
    (manifest,) = (await get_files(client, registry.container_id, registry.blob_path(digest))).values()
    (layer,) = json.loads(manifest)["layers"]
    tampered = bytes(layer["size"])
    await client.put_container_archive(
        registry.container_id, "/", tar_of({registry.blob_path(layer["digest"]): tampered})
    )
    with pytest.raises(EngineResponseError, match="verification failed") as caught:
        await client.image_pull(repository, tag="there", on_progress=messages.append)
    assert caught.value.status == 200
    assert messages[0].status == f"Pulling from {NAME}"
    with pytest.raises(EngineNotFound):
        await client.image_inspect(f"{repository}:there")
