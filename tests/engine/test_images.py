"""Images: imported, inspected, listed, tagged, removed. (test_pulls.py has what comes from a registry.)"""

from collections.abc import AsyncIterator, Iterator

import pytest

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound, EngineResponseError, ProgressMessage
from tests.engine.containers import created, tar_of
from tools.raw_engine import RawEngine

REPO = "lightrunner-test/image"
ROOTFS = tar_of({"file": b"x" * 2_000_000})


@pytest.fixture(autouse=True)
def no_image(raw: RawEngine) -> Iterator[None]:
    """After the test there is none of that name."""
    yield
    for image in raw.images():
        tags: list[str] = image["RepoTags"] or []
        for tag in tags:
            if tag.startswith(REPO):
                raw.request("DELETE", f"/images/{tag}")


async def test_import_makes_an_image(client: EngineClient, raw: RawEngine) -> None:
    messages: list[ProgressMessage] = []

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(ROOTFS), 100_000):
            yield ROOTFS[start : start + 100_000]

    changes = ['ENV GREETING="hello there & more=%41"', "USER 1000", "WORKDIR /wörk dir", 'CMD ["a b", "c"]']
    image_id = await client.image_import(chunks(), repo=REPO, tag="one", changes=changes, on_progress=messages.append)
    seen = raw.get(f"/images/{REPO}:one/json")
    assert image_id == seen["Id"]
    assert "GREETING=hello there & more=%41" in seen["Config"]["Env"]
    assert (seen["Config"]["User"], seen["Config"]["WorkingDir"]) == ("1000", "/wörk dir")
    assert seen["Config"]["Cmd"] == ["a b", "c"]
    assert [message.status for message in messages] == [image_id]  # What is sent to it, the daemon does not count.

    told = await client.image_inspect(f"{REPO}:one")
    assert (told.id, told.repo_tags, told.size) == (image_id, [f"{REPO}:one"], seen["Size"])
    assert (told.os, told.architecture, told.created) == (seen["Os"], seen["Architecture"], seen["Created"])
    assert told.config is not None
    assert (told.config.user, told.config.working_dir, told.config.cmd) == ("1000", "/wörk dir", ["a b", "c"])
    assert told.config.env == seen["Config"]["Env"]


async def test_an_import_of_half_an_archive_is_an_error(client: EngineClient) -> None:
    with pytest.raises(EngineResponseError, match="unexpected EOF") as caught:
        await client.image_import(ROOTFS[: len(ROOTFS) // 2], repo=REPO, tag="bad")
    assert caught.value.operation == "image_create"
    with pytest.raises(EngineNotFound):
        await client.image_inspect(f"{REPO}:bad")


async def test_an_import_with_a_bad_change_is_refused(client: EngineClient) -> None:
    with pytest.raises(EngineResponseError, match=r"(?i)run is not a valid change command"):
        await client.image_import(ROOTFS, repo=REPO, tag="bad", changes=["RUN true"])


async def test_tag_list_and_delete(client: EngineClient, raw: RawEngine) -> None:
    image_id = await client.image_import(ROOTFS, repo=REPO, tag="one", changes=["LABEL of=image"])
    await client.image_tag(f"{REPO}:one", repo=REPO, tag="two")
    (listed,) = await client.image_list(filters={"reference": [f"{REPO}:*"]})
    assert (listed.id, sorted(listed.repo_tags or [])) == (image_id, [f"{REPO}:one", f"{REPO}:two"])
    assert (listed.labels, listed.size >= 2_000_000, listed.created > 0) == ({"of": "image"}, True, True)
    assert image_id in {image.id for image in await client.image_list()}

    assert [item.untagged for item in await client.image_delete(f"{REPO}:one")] == [f"{REPO}:one"]
    deleted = await client.image_delete(f"{REPO}:two")
    assert image_id in {item.deleted for item in deleted}
    assert not raw.has_image(image_id)


async def test_an_image_in_use_is_a_conflict(client: EngineClient, raw: RawEngine) -> None:
    await client.image_import(ROOTFS, repo=REPO, tag="used")
    async with created(client, f"{REPO}:used", "/file"):
        with pytest.raises(EngineConflict, match="is using"):
            await client.image_delete(f"{REPO}:used")
        assert raw.has_image(f"{REPO}:used")


async def test_an_unknown_image_is_not_found(client: EngineClient) -> None:
    for call in (client.image_inspect, client.image_delete):
        with pytest.raises(EngineNotFound, match=f"No such image: {REPO}:none"):
            await call(f"{REPO}:none")
    with pytest.raises(EngineNotFound, match=f"No such image: {REPO}:none"):
        await client.image_tag(f"{REPO}:none", repo=REPO, tag="x")


async def test_a_name_that_cannot_be_one_is_refused(client: EngineClient) -> None:
    with pytest.raises(EngineResponseError, match="invalid reference format"):
        await client.image_inspect("UPPER CASE")
    with pytest.raises(EngineResponseError, match="invalid reference format"):
        await client.image_pull("--flag", tag="latest")


async def test_a_registry_that_is_not_there_is_told_by_the_daemon(client: EngineClient) -> None:
    with pytest.raises(EngineResponseError, match="connection refused") as caught:
        await client.image_pull("127.0.0.1:1/image", tag="latest")
    assert caught.value.operation == "image_create"
