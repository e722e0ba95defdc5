"""Runs over HTTP: results, output, files, control, and their ends."""

import base64
import io
import stat
import tarfile
from typing import Any

import httpx
import pytest
import trio

from lightrunner import RunnerOptions
from lightrunner.serve.policy import ServePolicy
from lightrunner.serve.server import serve
from tests.serve.conftest import Client, Server, events
from tools.raw_engine import RawEngine


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def stream(client: Client, run_id: str, **params: Any) -> list[tuple[str, str, dict[str, Any]]]:
    async with client.stream("GET", f"/runs/{run_id}/output", params=params) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return [event async for event in events(response)]


async def test_a_run_with_input_and_output(client: Client, busybox: str) -> None:
    run = await client.run(busybox, "cat; echo e >&2; exit 3", input={"n": [1, "ü"]}, capture_output=True)
    result = run["result"]
    assert (run["state"], run["error"]) == ("finished", None)
    assert (result["exit_code"], result["success"], result["outcome"]) == (3, False, "exited")
    assert (result["stdout"], result["stderr"]) == ('{"n":[1,"ü"]}', "e\n")
    assert result["explanation"].startswith("exited with code 3")


async def test_bytes_go_in_and_come_out(client: Client, busybox: str) -> None:
    data = bytes(range(256))
    run = await client.run(busybox, "cat", input_base64=b64(data), capture_output=True)
    assert base64.b64decode(run["result"]["stdout_base64"]) == data


async def test_secrets_are_files_of_the_run_and_of_nothing_else(client: Client, busybox: str) -> None:
    run = await client.run(busybox, "cat /run/secrets/key", secrets={"key": b64(b"s3cret\xff")}, capture_output=True)
    assert base64.b64decode(run["result"]["stdout_base64"]) == b"s3cret\xff"
    assert "key" not in run


async def test_output_is_streamed_as_it_comes_with_its_stream(client: Client, busybox: str) -> None:
    run_id = await client.start(
        busybox, "echo out; sleep 0.3; echo err >&2; sleep 0.3; printf '\\303'; sleep 0.3; printf '\\274\\303'"
    )
    received = [(name, data.get("text")) for _, name, data in (await stream(client, run_id, encoding="text"))[:-1]]
    assert received == [
        ("stdout", "out\n"),
        ("stderr", "err\n"),
        ("stdout", "ü"),
        ("stdout", "\N{REPLACEMENT CHARACTER}"),
    ]
    again = await stream(client, run_id)
    assert (
        b"".join(base64.b64decode(data["base64"]) for _, name, data in again[:-1] if name == "stdout")
        == "out\nü".encode() + b"\xc3"
    )
    assert again[-1][:2] == ("end", "end")
    assert again[-1][2]["result"]["success"] is True


async def test_a_stream_goes_on_where_the_client_left(client: Client, busybox: str) -> None:
    run_id = await client.start(busybox, "for i in 1 2 3 4; do echo $i; sleep 0.2; done")
    seen: list[tuple[str, str]] = []
    with trio.CancelScope() as scope:
        async with client.stream("GET", f"/runs/{run_id}/output") as response:
            async for event_id, name, _ in events(response):
                seen.append((event_id, name))
                scope.cancel()
    assert seen[0] == ("1", "stdout")
    assert (await client.ended(run_id))["result"]["success"]  # the client that went away has not ended it
    async with client.stream("GET", f"/runs/{run_id}/output", headers={"Last-Event-ID": "1"}) as response:
        rest = [event async for event in events(response)]
    assert b"".join(base64.b64decode(data["base64"]) for _, _, data in rest[:-1]) == b"2\n3\n4\n"
    assert [event_id for event_id, _, _ in rest] == ["2", "3", "4", "end"]
    done = await client.get(f"/runs/{run_id}/output", headers={"Last-Event-ID": "end"})
    assert done.status_code == 204


@pytest.mark.parametrize("way", ["output", "wait"])
async def test_a_client_that_goes_away_ends_its_run_if_it_has_asked_for_that(
    client: Client, server: Server, busybox: str, way: str
) -> None:
    run_id = await client.start(busybox, "echo a; sleep 60", cancel_on_disconnect=True)
    await client.until(run_id, "running")
    async with server.client() as other:
        with trio.move_on_after(0.5):
            if way == "output":
                await stream(other, run_id)
            else:
                await other.get(f"/runs/{run_id}", params={"wait": 30})
    run = await client.ended(run_id)
    assert run["result"]["cancelled"] is True
    assert run["result"]["duration"] < 30


async def test_files_go_in_and_come_out(client: Client, busybox: str) -> None:
    run = await client.run(
        busybox,
        "mkdir -p out/deep; cat a/b > out/deep/c; printf x > out/d; ln -s /etc/passwd out/link; printf z > z",
        files={"a/b": b64(b"\x00\xff"), "main": b64(b"m")},
        extract=["out", {"from": "/app/z", "to": "more"}, "missing"],
    )
    extracted = run["result"]["extracted"]
    assert [(entry["from"], entry["to"], entry["status"]) for entry in extracted] == [
        ("out", ".", "ok"),
        ("/app/z", "more", "ok"),
        ("missing", ".", "missing"),
    ]
    at = f"/runs/{run['id']}/files"
    listed = (await client.get(at)).json()["files"]
    assert listed == [{"path": "d", "bytes": 1}, {"path": "deep/c", "bytes": 2}, {"path": "more/z", "bytes": 1}]
    got = await client.get(f"{at}/deep/c")
    assert (got.content, got.headers["content-type"]) == (b"\x00\xff", "application/octet-stream")
    assert (await client.get(f"{at}/deep%2Fc")).status_code == 200
    assert (await client.delete(f"/runs/{run['id']}")).status_code == 204
    assert (await client.get(f"{at}/d")).status_code == 404


async def test_a_large_file_comes_whole(client: Client, busybox: str) -> None:
    run = await client.run(busybox, "dd if=/dev/zero of=big bs=1M count=9 2>/dev/null; echo x >> big", extract=["big"])
    got = await client.get(f"/runs/{run['id']}/files/big")
    assert len(got.content) == 9 * 1024 * 1024 + 2
    assert got.content.endswith(b"\0x\n")


async def test_an_archive_seeds_several_runs(client: Client, busybox: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        script = tarfile.TarInfo("./bin/run.sh")
        script.mode, script.size = 0o755, 21
        tar.addfile(script, io.BytesIO(b"#!/bin/sh\necho seeded"))
    seed = await client.post("/seeds", content=archive.getvalue(), headers={"content-type": "application/x-tar"})
    assert (seed.status_code, seed.json()["files"]) == (201, 1)
    for _ in range(2):
        run = await client.run(busybox, "bin/run.sh", seed=seed.json()["id"], capture_output=True)
        assert run["result"]["stdout"] == "seeded\n"
    assert (await client.delete(f"/seeds/{seed.json()['id']}")).status_code == 204
    gone = await client.post("/runs", json={"image": busybox, "seed": seed.json()["id"]})
    assert gone.status_code == 404


async def test_stop_pause_and_resume(client: Client, busybox: str) -> None:
    run_id = await client.start(
        busybox, "trap 'echo bye; exit 5' TERM; while :; do sleep 0.1; done", capture_output=True
    )
    early = await client.post(f"/runs/{run_id}/pause")
    assert early.status_code in {200, 409}
    await client.until(run_id, "running" if early.status_code == 409 else "paused")
    assert (await client.post(f"/runs/{run_id}/pause")).json()["state"] == "paused"
    assert (await client.post(f"/runs/{run_id}/resume")).json()["state"] == "running"
    await trio.sleep(0.5)  # for the trap to be set
    await client.post(f"/runs/{run_id}/stop", json={"signal": "TERM", "grace": 5})
    result = (await client.ended(run_id))["result"]
    assert (result["exit_code"], result["stdout"], result["outcome"]) == (5, "bye\n", "stopped")
    assert (await client.post(f"/runs/{run_id}/stop")).status_code == 200  # a finished run is left as it is


async def test_cancel_a_run_that_runs_and_one_that_waits(client: Client, busybox: str) -> None:
    running = [await client.start(busybox, "sleep 60") for _ in range(2)]
    waiting = await client.start(busybox, "echo never")
    assert (await client.get(f"/runs/{waiting}")).json()["state"] == "queued"
    for run_id in (waiting, *running):
        await client.post(f"/runs/{run_id}/cancel")
    waited = await client.ended(waiting)
    assert (waited["state"], waited["error"]["code"], waited["run_id"]) == ("failed", "RUN_ABORTED", None)
    for run_id in running:
        run = await client.ended(run_id)
        assert run["result"]["cancelled"] if run["state"] == "finished" else run["error"]["code"] == "RUN_ABORTED"
    listed = (await client.get("/runs")).json()["runs"]
    assert [run["id"] for run in listed] == [*running, waiting]


async def test_the_queue_is_bounded(client: Client, busybox: str) -> None:
    started = [await client.start(busybox, "sleep 60") for _ in range(4)]
    refused = await client.post("/runs", json={"image": busybox})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "TOO_MANY_REQUESTS")
    assert int(refused.headers["retry-after"]) > 0
    health = (await client.get("/health")).json()
    assert (health["status"], health["active"], health["queued"]) == ("ok", 2, 2)
    assert (await client.delete(f"/runs/{started[0]}")).status_code == 204
    await client.start(busybox, "true")


async def test_what_the_daemon_fails_is_the_runs_error(client: Client) -> None:
    run = await client.run("localhost:1/no/such:image", "true", pull="never")
    assert (run["state"], run["result"], run["error"]["code"]) == ("failed", None, "IMAGE_PULL_FAILED")


async def test_a_time_out_is_explained(client: Client, busybox: str) -> None:
    result = (await client.run(busybox, "sleep 60", timeout=0.5))["result"]
    assert result["timed_out"] is True
    assert "time limit" in result["explanation"]


async def test_a_run_can_be_waited_for_where_it_is_started(client: Client, busybox: str) -> None:
    body = {"image": busybox, "entrypoint": "echo hi", "network": "none", "capture_output": True}
    run = (await client.post("/runs", params={"wait": 30}, json=body)).json()
    assert run["result"]["stdout"] == "hi\n"
    run = (await client.post("/runs", params={"wait": 0.2}, json={**body, "entrypoint": "sleep 9"})).json()
    assert run["state"] in {"starting", "running"}


async def test_the_end_of_the_server_ends_runs_and_tells_their_readers(
    server: Server, busybox: str, raw: RawEngine
) -> None:
    received: list[tuple[str, str, dict[str, Any]]] = []
    async with server.client() as client, server.client() as reader:
        runs = [await client.start(busybox, "echo a; sleep 60") for _ in range(3)]
        await client.until(runs[0], "running")

        async def read() -> None:
            received.extend(await stream(reader, runs[0]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(0.5)
            await server.stop()
        assert received[-1][1] == "end"
        assert received[-1][2]["result"]["cancelled"] is True
        assert raw.containers() == []
        with pytest.raises(httpx.ConnectError):
            async with server.client() as late:
                await late.get("/health")


async def test_a_client_that_does_not_read_holds_up_neither_run_nor_end(server: Server, busybox: str) -> None:
    async with server.client() as client:
        run_id = await client.start(busybox, "dd if=/dev/zero bs=1M count=20 2>/dev/null; sleep 60")
        stalled = await trio.open_unix_socket(str(server.address.path))
        async with stalled:
            await stalled.send_all(f"GET /runs/{run_id}/output HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await client.until(run_id, "running")
            await trio.sleep(1)
            started = trio.current_time()
            await server.stop()
            assert trio.current_time() - started < 20


async def test_the_socket_is_its_owners_and_a_second_server_is_refused(server: Server) -> None:
    path = server.address.path
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OSError, match="another server answers there"):
        await serve(server.address, RunnerOptions(host=server.host), ServePolicy())
    assert path.exists()
