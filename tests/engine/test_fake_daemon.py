"""The scripted daemon can serve whole runs, and records its requests."""

import io
import tarfile
from pathlib import Path

import pytest

from lightrunner import DockerRunner, ExtractSpec, RunRequest
from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.testing import archive, attached, frame, hang, json_answer
from tests.engine.containers import tar_of
from tests.fake_daemon import fake_daemon


async def test_a_whole_run(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").write_bytes(b"content")
    script = {
        "container_attach": attached(frame(1, b"hello\n") + frame(2, b"oh\n")),
        "container_archive": archive(tar_of({"result.json": b"{}"}), name="result.json"),
    }
    request = RunRequest(
        image="fake:1",
        dir=str(tmp_path / "dir"),
        input=b"input",
        capture_output=True,
        extract=[ExtractSpec("/app/result.json", str(tmp_path))],
    )
    async with fake_daemon(script) as daemon, DockerRunner(host=daemon.host) as runner:
        result = await runner.run(request)
    assert (result.success, result.exit_code, result.stdout, result.stderr) == (True, 0, b"hello\n", b"oh\n")
    assert (tmp_path / "result.json").read_bytes() == b"{}"
    (seed,) = daemon.requests("put_container_archive")
    with tarfile.open(fileobj=io.BytesIO(seed.body)) as tar:
        assert tar.getnames() == ["file"]
    operations = [request.operation for request in daemon.requests_seen]
    order = ["container_create", "put_container_archive", "container_attach", "container_start", "container_inspect"]
    assert sorted(order, key=operations.index) == order
    assert operations[-2:] == ["container_delete", "volume_delete"]
    assert daemon.requests("container_archive")[0].query == {"path": "/app/result.json"}


async def test_an_answer_can_be_replaced() -> None:
    script = {"container_inspect": json_answer({"Id": "c", "State": {"Status": "exited", "ExitCode": 3}})}
    async with fake_daemon(script) as daemon, DockerRunner(host=daemon.host) as runner:
        assert (await runner.run(RunRequest(image="fake:1"))).exit_code == 3


async def test_what_it_does_not_know_is_not_found() -> None:
    async with fake_daemon() as daemon, EngineClient(daemon.host) as client:
        with pytest.raises(EngineNotFound, match="page not found"):
            await client._calls.call("no_such", "GET", "/no/such")  # pyright: ignore[reportPrivateUsage]
        assert daemon.requests("unknown")[0].path == "/no/such"


async def test_an_operation_that_does_not_exist_cannot_be_scripted() -> None:
    with pytest.raises(AssertionError, match="no_such"):
        async with fake_daemon({"no_such": hang}):
            pass
