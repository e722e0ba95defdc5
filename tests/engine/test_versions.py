"""The API version: negotiated with the first call, and after a lost connection. Scripted daemon."""

import pytest

from lightrunner import DockerRunner, RunRequest
from lightrunner.engine import (
    EngineClient,
    EngineError,
    EngineProtocolError,
    EngineResponseError,
    EngineUnreachable,
    calls,
    wire,
)
from lightrunner.testing import Answer, chunked, in_turn, json_answer, plain, raw
from tests.fake_daemon import fake_daemon

NEWEST_KNOWN = "{}.{}".format(*calls.MAX_API_VERSION)
NEXT = f"{calls.MAX_API_VERSION[0]}.{calls.MAX_API_VERSION[1] + 1}"


def speaks(newest: str, oldest: str = "1.12") -> dict[str, Answer]:
    """A daemon of these versions."""
    return {
        "system_ping": plain(b"OK", headers={"Api-Version": newest}),
        "system_version": json_answer({"ApiVersion": newest, "MinAPIVersion": oldest}),
    }


@pytest.mark.parametrize(
    ("newest", "oldest", "agreed"),
    [
        ("1.40", "1.12", "1.40"),
        ("1.41", "1.12", "1.41"),
        (NEWEST_KNOWN, "1.24", NEWEST_KNOWN),
        (NEXT, "1.24", NEWEST_KNOWN),
        ("1.99", "1.40", NEWEST_KNOWN),
        ("1.99", NEXT, NEXT),
        ("2.3", "2.0", "2.0"),
    ],
)
async def test_the_daemons_newest_is_clamped_to_what_is_known(newest: str, oldest: str, agreed: str) -> None:
    async with fake_daemon(speaks(newest, oldest)) as daemon, EngineClient(daemon.host) as client:
        await client.container_list()
        await client.container_list()
        assert [request.api_version for request in daemon.requests("container_list")] == [agreed, agreed]
        assert len(daemon.requests("system_ping")) == 1


async def test_a_daemon_that_says_no_oldest_version_is_spoken_to_in_ours() -> None:
    script = speaks("1.99") | {"system_version": json_answer({"ApiVersion": "1.99"})}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        await client.container_list()
        assert daemon.requests("container_list")[0].api_version == NEWEST_KNOWN


@pytest.mark.parametrize("version", ["1.39", "1.30", "0.9"])
async def test_a_daemon_that_is_too_old_is_told_so(version: str) -> None:
    async with fake_daemon(speaks(version)) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineProtocolError, match=rf"speaks API {version}, and lightrunner needs 1\.40"):
            await client.container_list()
        assert daemon.requests("container_list") == []


@pytest.mark.parametrize(
    "version", ["", "1", "1.x", "1.41.2", "-1.41", "1,41", "9" * 5000 + ".1", "\u0661.\u0664\u0661"]
)
async def test_a_version_that_is_none_is_no_daemons(version: str) -> None:
    answer = plain(b"OK", headers={"Api-Version": version.encode().decode("latin-1")})
    async with fake_daemon({"system_ping": answer}) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineProtocolError):
            await client.system_ping()


async def test_an_oldest_version_that_is_none_is_an_error() -> None:
    async with fake_daemon(speaks("1.99", "new")) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineProtocolError, match="API version 'new' is not"):
            await client.container_list()


async def test_after_a_lost_connection_the_version_is_asked_for_again() -> None:
    """The daemon went away, and another one of another version came back."""
    pings = in_turn(*(plain(headers={"Api-Version": version}) for version in ("1.44", "1.41")))
    script = {"system_ping": pings, "system_info": in_turn(json_answer({}), raw(), json_answer({}))}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        await client.system_info()
        with pytest.raises(EngineUnreachable):
            await client.system_info()
        await client.system_info()
        assert [request.api_version for request in daemon.requests("system_info")] == ["1.44", "1.44", "1.41"]


async def test_after_a_refusal_the_version_stays() -> None:
    script = {"system_info": in_turn(json_answer({"message": "no"}, status=500), json_answer({}))}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineResponseError):
            await client.system_info()
        await client.system_info()
        assert len(daemon.requests("system_ping")) == 1


def too_old(version: str, oldest: str) -> Answer:
    sentence = f"client version {version} is too old. Minimum supported API version is {oldest}, please upgrade"
    return json_answer({"message": sentence}, status=400)


async def test_after_an_upgrade_of_an_idle_daemon_one_call_is_refused() -> None:
    """No connection was open, and so none was lost."""
    script = {
        "system_ping": in_turn(*(plain(headers={"Api-Version": version}) for version in ("1.41", "1.52"))),
        "system_info": in_turn(json_answer({}), too_old("1.41", "1.44"), json_answer({})),
    }
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        await client.system_info()
        with pytest.raises(EngineResponseError, match=r"1\.41 is too old"):
            await client.system_info()
        await client.system_info()
        assert [request.api_version for request in daemon.requests("system_info")] == ["1.41", "1.41", "1.52"]


DOCKER_29 = {
    # Since 1.52 an image's inspect leaves out what is not set, and so do other answers.
    "image_inspect": json_answer({"Id": "sha256:1", "RepoTags": ["a:1"], "Identity": {"Pull": []}, "Config": {}}),
    "network_inspect": json_answer({"Name": "n", "Id": "1", "EnableIPv4": True, "Status": {"IPAM": {"Subnets": {}}}}),
    "system_info": json_answer(
        {"ServerVersion": "29.6.0", "NRI": {"Info": []}, "FirewallBackend": {"Driver": "nftables"}}
    ),
    "volume_prune": json_answer({"VolumesDeleted": ["v"], "SpaceReclaimed": 1}),
    "image_create": chunked(b'{"errorDetail":{"message":"no such image"}}\n'),
}


@pytest.mark.parametrize("newest", ["1.52", "1.56", "1.70"])
async def test_docker_29(newest: str) -> None:
    """A daemon whose oldest version is newer than what 20.10 speaks."""
    async with fake_daemon(speaks(newest, "1.44") | DOCKER_29) as daemon, EngineClient(daemon.host) as client:
        image = await client.image_inspect("a:1")
        assert (image.parent, image.config) == ("", wire.ContainerConfig())
        assert (await client.network_inspect("n")).name == "n"
        assert (await client.system_info()).server_version == "29.6.0"
        assert (await client.volume_prune()).volumes_deleted == ["v"]
        with pytest.raises(EngineResponseError, match="no such image"):
            await client.image_pull("a", tag="1")
        async with DockerRunner(host=daemon.host) as runner:
            assert (await runner.run(RunRequest(image="a:1", network="none"))).exit_code == 0
        spoken = {request.api_version for request in daemon.requests_seen if request.api_version}
    assert spoken == {min(newest, NEWEST_KNOWN)}


async def test_a_failed_ping_is_tried_again_by_the_next_call() -> None:
    script = {"system_ping": in_turn(raw(), plain(status=500), plain(headers={"Api-Version": "1.41"}))}
    async with fake_daemon(script) as daemon, EngineClient(daemon.host) as client:
        for _ in range(2):
            with pytest.raises(EngineError):
                await client.system_info()
        await client.system_info()
