"""What one run is: user, hostname, hosts and labels, as its container has them."""

from pathlib import Path
from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode
from tests.runs.conftest import ImageVariant
from tests.runs.shell_runs import Run, shell, start
from tools.raw_engine import RawEngine


@pytest.mark.parametrize(
    ("user", "ids"), [("app", "1000 1000"), ("1234", "1234 0"), ("1234:56", "1234 56"), ("root", "0 0")]
)
async def test_user(runner: DockerRunner, image_variant: ImageVariant, tmp_path: Path, user: str, ids: str) -> None:
    (tmp_path / "seeded").write_text("seeded\n")
    image = image_variant("as-app", "USER app")
    script = "echo $(id -u) $(id -g); cat seeded >out"
    result = await runner.run(shell(image, script, user=user, dir=tmp_path, extract=[ExtractSpec("out", tmp_path)]))
    assert (result.stdout, (tmp_path / "out").read_text()) == (f"{ids}\n".encode(), "seeded\n")


async def test_a_user_that_the_image_does_not_have(runner: DockerRunner, busybox: str) -> None:
    with pytest.raises(LightRunnerError, match="unable to find user nobody-knows") as caught:
        await runner.run(shell(busybox, "true", user="nobody-knows"))
    assert caught.value.code == LightRunnerErrorCode.CONTAINER_START_FAILED


@pytest.mark.parametrize("network", [None, "none"])
async def test_hostname_and_hosts(run: Run, busybox: str, network: str | None) -> None:
    hosts = {"db": "10.1.2.3", "v6.example": "fd00::7"}
    request = shell(busybox, "hostname; cat /etc/hosts", network=network, hostname="job-7", extra_hosts=hosts)
    lines = ((await run(request)).stdout or b"").decode().splitlines()
    assert lines[0] == "job-7"
    assert {"10.1.2.3\tdb", "fd00::7\tv6.example"} <= set(lines)


async def test_a_prepared_network_has_no_room_for_them(runner: DockerRunner, busybox: str) -> None:
    async with runner.prepared_networks(1, network="none"):
        named = await runner.run(shell(busybox, "hostname", hostname="job-7"))
        hosted = await runner.run(shell(busybox, "grep -c 10.1.2.3 /etc/hosts", extra_hosts={"db": "10.1.2.3"}))
    assert (named.stdout, hosted.stdout) == (b"job-7\n", b"1\n")


async def test_labels(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        request = shell(busybox, "sleep 60", labels={"tenant": "7", "com.example/empty": ""})
        execution = await start(nursery, runner, request)
        (container,) = raw.containers(label="tenant=7")
        (volume,) = raw.volumes(label="tenant=7")
        execution.cancel()
    for labels in (container["Labels"], volume["Labels"]):
        assert (labels["com.example/empty"], labels["light-runner.run-id"]) == ("", execution.id)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("user", "a b", "user='a b': not a user"),
        ("hostname", "a_b", "hostname='a_b': not a hostname"),
        ("extra_hosts", {"db": "localhost"}, "extra_hosts\\['db'\\]='localhost': not an IP address"),
        ("labels", {"light-runner.run-id": "x"}, "lightrunner's own"),
    ],
)
async def test_what_is_refused(runner: DockerRunner, busybox: str, field: str, value: Any, match: str) -> None:
    with pytest.raises(LightRunnerError, match=match) as caught:
        await runner.run(shell(busybox, "true", **{field: value}))
    assert caught.value.code == LightRunnerErrorCode.INVALID_REQUEST
