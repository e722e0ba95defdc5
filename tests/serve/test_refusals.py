"""What a server refuses: wrong tokens, paths that lead elsewhere, more than its maxima, bodies that are none."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import trio

from lightrunner import LightRunnerError, RunnerOptions
from lightrunner.serve.policy import ServePolicy
from lightrunner.serve.server import Address, parse_address, serve
from tests.serve.conftest import HOST, Client, running_server
from tools.raw_engine import RawEngine

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - the tests' own
TAR = {"content-type": "application/x-tar"}


@pytest.fixture
def policy() -> ServePolicy:
    return ServePolicy(
        max_timeout=10.0,
        max_cpu_timeout=5.0,
        max_output=1000,
        max_body_bytes=20_000,
        max_seed_bytes=100_000,
        max_seeds=2,
        max_seed_files=5,
        max_extracts=2,
        images=["allowed*", "lightrunner*"],
        networks=["offered"],
        max_finished=1,
        max_files_bytes=10_000,
    )


async def refused(client: Client, status: int = 400, **fields: Any) -> str:
    """Ask for a run that is refused. Return the reason."""
    response = await client.post("/runs", json={"image": "allowed", **fields})
    error = response.json()["error"]
    assert response.status_code == status, error
    assert set(error) == {"code", "message", "docker_op", "container_id"}
    assert (await client.get("/runs")).json() == {"runs": []}
    return str(error["message"])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image": "other"}, "image='other'"),
        ({"dir": "/etc"}, "unknown field `dir`"),
        ({"nonsense": 1}, "unknown field `nonsense`"),
        ({"timeout": 11}, "timeout=11.0: more than this server's maximum of 10 s"),
        ({"timeout": None}, "timeout=None: more than"),
        ({"timeout": -1}, "timeout=-1.0"),
        ({"cpu_timeout": 6}, "cpu_timeout=6.0"),
        ({"output_limit": 1001}, "output_limit=1001"),
        ({"network": "host"}, "network='host'"),
        ({"network": "container:x"}, "network='container:x'"),
        ({"run": ["true"]}, "builds no setup steps"),
        ({"env": {"a-b": "c"}}, "env=['a-b']"),
        ({"labels": {"light-runner.run-id": "x"}}, "labels"),
        ({"input": 1, "input_base64": "AA=="}, "input_base64"),
        ({"extract": ["a", "b", "c"]}, "extract=3: more than 2"),
        ({"extract": [{"from": "a", "to": "/etc"}]}, "extract[0].to='/etc': is absolute"),
        ({"extract": [{"from": "a", "to": "x/../.."}]}, "extract[0].to='x/../..'"),
        ({"files": {"../x": "AA=="}}, "files['../x']='../x'"),
        ({"files": {"/x": "AA=="}}, "is absolute"),
        ({"files": {"a/./..//x": "AA=="}}, "contains '..'"),
        ({"files": {"a\0": "AA=="}}, "NUL"),
        ({"files": {".": "AA=="}}, "names no file"),
        ({"files": {"x" * 256: "AA=="}}, "longer than 255 bytes"),
        ({"files": {"x/" * 300: "AA=="}}, "deeper than 255"),
        ({"files": {"a": "AA==", "a/b": "AA=="}}, "is a file as well"),
        ({"files": {"a/b": "AA==", "a": "AA=="}}, "is a folder as well"),
        ({"files": {"node_modules/a": "AA=="}}, "never copied into containers"),
        ({"files": {str(name): "" for name in range(6)}}, "too many files"),
        ({"files": {"a": "not base64!"}}, "base64"),
    ],
)
async def test_a_request_that_is_refused_creates_nothing(
    client: Client, folder: Path, fields: dict[str, Any], reason: str
) -> None:
    assert reason in await refused(client, **fields)
    (own,) = await trio.to_thread.run_sync(os.listdir, folder)
    assert await trio.to_thread.run_sync(os.listdir, folder / own) == []


class Endless(httpx.AsyncByteStream):
    """A body without an end."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return b" " * 10_000


async def test_bodies_that_are_none(client: Client) -> None:
    for content, kind, status in (
        (b"{", "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b'{"image": "\xff"}', "application/json", 400),
        (b"", "application/json", 400),
        (b'{"image": "allowed"}', "text/plain", 415),
        (b" " * 20_001, "application/json", 413),
    ):
        response = await client.post("/runs", content=content, headers={"content-type": kind})
        assert (response.status_code, content[:9]) == (status, content[:9])

    headers = {"content-type": "application/json", "transfer-encoding": "chunked", "host": "server"}
    response = await client.send(httpx.Request("POST", f"{HOST}/runs", stream=Endless(), headers=headers))
    assert response.status_code == 413
    assert (await client.get("/health")).status_code == 200


async def test_paths_and_methods_that_are_none(client: Client) -> None:
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/runs/", 404),
        ("GET", "/runs/nothing", 404),
        ("GET", "/runs/nothing/output", 404),
        ("GET", "/runs/%ff/files/x", 404),
        ("DELETE", "/seeds/nothing", 404),
        ("PUT", "/runs", 405),
        ("GET", "/runs/x/cancel", 405),
        ("GET", "/runs/nothing/secret/../../health", 404),
    ):
        response = await client.request(method, path)
        assert (path, response.status_code) == (path, status)
        assert "error" in response.json()
    assert (await client.put("/runs")).headers["allow"] == "GET, POST"


def archive(*members: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (archive(member("../x")), 400, "contains '..'"),
        (archive(member("/etc/x")), 400, "is absolute"),
        (archive(member("x", tarfile.SYMTYPE, "/etc")), 400, "is a symbolic link"),
        (archive(member("x"), member("y", tarfile.LNKTYPE, "x")), 400, "is a hard link"),
        (archive(member("x", tarfile.FIFOTYPE)), 400, "is a pipe"),
        (archive(member("x", tarfile.CHRTYPE)), 400, "is a device"),
        (archive(member("x"), member("x/y")), 400, "is a file as well"),
        (archive(*(member(f"{at}") for at in range(6))), 400, "too many files"),
        (archive(member("x", size=99_000)), 413, "larger than 100000 bytes"),
        (archive(member("x", size=5000))[:4000], 400, "truncated"),
        (b"x" * 2000, 400, "not a tar archive"),
        (b"", 400, "not a tar archive"),
    ],
)
async def test_an_archive_that_is_refused_leaves_nothing(
    client: Client, folder: Path, content: bytes, status: int, reason: str
) -> None:
    response = await client.post("/seeds", content=content, headers=TAR)
    assert response.status_code == status
    assert reason in response.json()["error"]["message"]
    (own,) = await trio.to_thread.run_sync(os.listdir, folder)
    assert await trio.to_thread.run_sync(os.listdir, folder / own) == []


async def test_archives_are_bounded_in_number_and_stay_while_runs_need_them(client: Client, busybox: str) -> None:
    seeds = [(await client.post("/seeds", content=archive(member("x")), headers=TAR)).json()["id"] for _ in range(2)]
    assert (await client.post("/seeds", content=archive(member("x")), headers=TAR)).status_code == 429
    assert (await client.post("/seeds", content=archive(member("x")))).status_code == 415
    run_id = await client.start(busybox, "sleep 5", seed=seeds[0])
    assert (await client.delete(f"/seeds/{seeds[0]}")).status_code == 409
    both = await client.post("/runs", json={"image": "allowed", "seed": seeds[1], "files": {}})
    assert "give one of them" in both.json()["error"]["message"]
    await client.delete(f"/runs/{run_id}")
    for seed in seeds:
        assert (await client.delete(f"/seeds/{seed}")).status_code == 204


async def test_maxima_hold_for_requests_without_limits(client: Client, busybox: str) -> None:
    result = (await client.run(busybox, "yes"))["result"]
    assert (result["outcome"], result["limits"]["output"], result["limits"]["timeout"]) == ("output_limit", 1000, 10.0)
    assert result["limits"]["cpu_timeout"] == 5.0


async def test_finished_runs_and_their_files_are_bounded(client: Client, busybox: str) -> None:
    first = await client.run(busybox, "true")
    second = await client.run(busybox, "dd if=/dev/zero of=x bs=1000 count=20 2>/dev/null", extract=["x"])
    with trio.fail_after(20):
        while (await client.get("/runs")).json()["runs"]:  # noqa: ASYNC110 - the second has too many bytes of files
            await trio.sleep(0.1)
    for run in (first, second):
        assert (await client.get(f"/runs/{run['id']}")).status_code == 404


@pytest.mark.parametrize("path", ["../run", "%2e%2e/x", "..%2fx", "/etc/passwd", "x%00", "", ".", "link", "missing"])
async def test_no_path_leads_out_of_a_runs_files(client: Client, busybox: str, path: str) -> None:
    run_id = await client.start(busybox, "echo x > x; ln -s /etc/passwd link; mkdir d", extract=["."])
    early = await client.get(f"/runs/{run_id}/files/x")
    assert early.status_code in {200, 409}
    await client.ended(run_id)
    assert (await client.get(f"/runs/{run_id}/files/x")).text == "x\n"
    async with await trio.open_unix_socket(str(client_socket(client))) as raw:
        await raw.send_all(f"GET /runs/{run_id}/files/{path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while piece := await raw.receive_some():
            answer += piece
    assert answer.split()[1] in {b"400", b"404"}
    assert b"root:" not in answer


def client_socket(client: Client) -> str:
    return str(client._transport._pool._uds)  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x", "3601"])
async def test_a_wait_that_is_none(client: Client, value: str) -> None:
    assert "wait=" in (await client.post("/runs", params={"wait": value})).json()["error"]["message"]


async def test_stream_parameters_that_are_none(client: Client, busybox: str) -> None:
    run_id = await client.start(busybox, "true")
    for params in ({"encoding": "x"}, {"after": "-1"}, {"after": "1" * 16}, {"after": "²"}):
        assert (await client.get(f"/runs/{run_id}/output", params=params)).status_code == 400
    assert (await client.post(f"/runs/{run_id}/stop", json={"grace": "x"})).status_code == 400


@pytest.mark.usefixtures("folder")
async def test_tcp_wants_the_token(engine_host: str, daemon_clean: RawEngine) -> None:
    daemon_clean.ping()
    async with (
        running_server(engine_host, Address(None, "127.0.0.1"), ServePolicy(), TOKEN) as server,
        server.client() as client,
    ):
        assert server.address.port > 0
        for value in (None, "Bearer", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xfc"):
            headers = {} if value is None else {b"authorization": value.encode("latin-1")}
            response = await client.get("/runs", headers=headers)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/runs", headers={"authorization": f"bearer {TOKEN}"})).status_code == 200


@pytest.mark.usefixtures("folder")
async def test_a_daemon_that_is_not_there(tmp_path: Path) -> None:
    async with (
        running_server(f"unix://{tmp_path}/none", Address(tmp_path / "s"), ServePolicy()) as server,
        server.client() as client,
    ):
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unreachable")
        run = await client.run("image", "true")
        assert run["error"]["code"] == "DOCKER_UNREACHABLE"


async def test_a_policy_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LightRunnerError, match="max_timeout"):
        await serve(Address(tmp_path / "s"), RunnerOptions(), ServePolicy(max_timeout=float("inf")))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0:80",
        "[::]:80",
        "example.org:80",
        "192.168.0.1:80",
        "127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "unix://x",
        "",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="listen="):
        parse_address(text, TOKEN)


def test_addresses_that_are_taken() -> None:
    assert parse_address("unix:///a/b", None) == Address(Path("/a/b"))
    assert parse_address("localhost:0", TOKEN) == Address(None, "127.0.0.1", 0)
    assert str(parse_address("[::1]:80", TOKEN)) == "http://[::1]:80"
    with pytest.raises(ValueError, match="needs a token"):
        parse_address("127.0.0.1:80", None)
    for token in ("short", "x" * 15 + "ü", "x" * 15 + "\n"):
        with pytest.raises(ValueError, match="token=") as caught:
            parse_address("127.0.0.1:80", token)
        assert token not in str(caught.value)
