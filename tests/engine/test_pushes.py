"""Pushes to a registry, and what it says of its images."""

from collections.abc import Iterator

import pytest

from lightrunner.engine import EngineClient, EngineNotFound, EngineResponseError, ProgressMessage, RegistryAuth
from tools.raw_engine import RawEngine
from tools.registry import Registry, running_registry

NAME = "lightrunner-test/pushed"
USER, PASSWORD = "pusher", "s3cret:with-a-colon"


@pytest.fixture(scope="module")
def open_registry(raw: RawEngine) -> Iterator[Registry]:
    with running_registry(raw) as registry:
        yield registry


@pytest.fixture(scope="module")
def closed_registry(raw: RawEngine) -> Iterator[Registry]:
    with running_registry(raw, {USER: PASSWORD}) as registry:
        yield registry


async def test_a_push_and_its_digest(
    client: EngineClient, raw: RawEngine, busybox: str, open_registry: Registry
) -> None:
    repository = f"{open_registry.address}/{NAME}"
    messages = list[ProgressMessage]()
    await client.image_tag(busybox, repo=repository, tag="1")
    try:
        await client.image_push(repository, tag="1", on_progress=messages.append)
    finally:
        await client.image_delete(f"{repository}:1", no_prune=True)
    assert any(message.status == "Pushed" for message in messages)
    digest = await client.distribution_inspect(f"{repository}:1")
    assert digest == open_registry.push(busybox, NAME, "2")
    assert await client.distribution_inspect(f"{repository}@{digest}") == digest
    await client.image_pull(repository, tag=digest)
    raw.request("DELETE", f"/images/{repository}@{digest}")


async def test_what_a_registry_does_not_have(client: EngineClient, open_registry: Registry) -> None:
    for name in (f"{open_registry.address}/no/such:1", f"{open_registry.address}/{NAME}:no-such"):
        with pytest.raises(EngineNotFound):
            await client.distribution_inspect(name)


async def test_a_push_of_what_is_not_there(client: EngineClient, open_registry: Registry) -> None:
    with pytest.raises(EngineResponseError, match="does not exist"):
        await client.image_push(f"{open_registry.address}/no/such", tag="1")


async def test_a_registry_that_asks_who_it_is(client: EngineClient, busybox: str, closed_registry: Registry) -> None:
    repository = f"{closed_registry.address}/{NAME}"
    auth = RegistryAuth(username=USER, password=PASSWORD)
    await client.image_tag(busybox, repo=repository, tag="1")
    try:
        with pytest.raises(EngineResponseError, match="no basic auth credentials"):
            await client.image_push(repository, tag="1")
        with pytest.raises(EngineResponseError, match=r"(?i)unauthorized|authentication required|no basic auth"):
            await client.image_push(repository, tag="1", auth=RegistryAuth(username=USER, password=PASSWORD[::-1]))
        await client.image_push(repository, tag="1", auth=auth)
    finally:
        await client.image_delete(f"{repository}:1", no_prune=True)
    with pytest.raises(EngineResponseError, match=r"unauthorized|no basic auth credentials"):
        await client.distribution_inspect(f"{repository}:1")
    assert (await client.distribution_inspect(f"{repository}:1", auth=auth)).startswith("sha256:")
