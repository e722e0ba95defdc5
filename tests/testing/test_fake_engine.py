"""`lightrunner.testing`: what a user's tests may count on."""

import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, RunRequest, RunResult
from lightrunner.engine import EngineClient, EngineEndpointError, EngineNotFound, EngineResponseError
from lightrunner.engine.wire import ContainerCreateRequest, VolumeCreateRequest
from lightrunner.rules.gate import dispatch_script, gate_script
from lightrunner.testing import FakeContainer, FakeEngine, FileSystem, Program
from lightrunner.testing.gate import gate_nonce, read_dispatch
from lightrunner.testing.pipes import memory_connection


async def test_time_costs_nothing_and_is_exact(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Worker threads, which read and write the host's files, do not let the clock jump."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(300):
        (source / f"{number}").write_bytes(b"x" * 5000)

    async def program(container: FakeContainer) -> None:
        await trio.sleep(3600)
        container.files.write("out/big", bytes(5_000_000))

    entries = [ExtractSpec(".", str(tmp_path / "out"))]
    request = RunRequest(image="fake:1", dir=str(source), timeout=7200.0, extract=entries)
    async with FakeEngine(program) as engine, DockerRunner(connect=engine.connect) as runner:
        result = await runner.run(request)
        assert result.duration == 3600.0
        timed_out = await runner.run(RunRequest(image="fake:1", timeout=30.0))
    assert (timed_out.timed_out, timed_out.duration) == (True, 30.0)
    assert autojump_clock.current_time() == 3630.0
    assert len(list((tmp_path / "out").iterdir())) == 301


async def test_programs_by_image_and_command() -> None:
    def says(word: bytes) -> Program:
        async def program(container: FakeContainer) -> None:
            await container.stdout(word)

        return program

    async with FakeEngine(says(b"any")) as engine, DockerRunner(connect=engine.connect) as runner:
        engine.add_program(says(b"image"), image="b")
        engine.add_program(says(b"command"), command="python main.py")
        engine.add_image("own:1", program=says(b"own"), command=["serve", "now"], env={"A": "1"}, files={"/f": b"F"})

        async def output(image: str, entrypoint: str | None = None) -> bytes | None:
            request = RunRequest(image=image, entrypoint=entrypoint, capture_output=True)
            return (await runner.run(request)).stdout

        assert await output("a") == b"any"
        assert await output("b:latest") == b"image"
        assert await output("b", "python main.py") == b"command"
        assert await output("own:1") == b"own"


async def test_an_image_brings_its_environment_and_files() -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(repr((container.argv, container.env, container.files.read("/f"))).encode())

    async with FakeEngine() as engine, DockerRunner(connect=engine.connect) as runner:
        engine.add_image("own:1", program=program, command=["serve"], env={"A": "1"}, files={"/f": b"F"})
        result = await runner.run(RunRequest(image="own:1", env={"B": "2"}, capture_output=True))
    assert result.stdout == b"(['serve'], {'A': '1', 'B': '2'}, b'F')"


async def test_a_folder_is_seeded_for_an_image_of_another_user(tmp_path: Path) -> None:
    """Its archive goes to the workdir's parent, and has an entry for the workdir."""
    (tmp_path / "file").write_bytes(b"content")

    async def program(container: FakeContainer) -> None:
        await container.stdout(container.files.read("file"))

    async with FakeEngine() as engine, DockerRunner(connect=engine.connect) as runner:
        engine.add_image("own:1", program=program, user="app")
        result = await runner.run(RunRequest(image="own:1", dir=str(tmp_path), capture_output=True))
    assert result.stdout == b"content"


async def test_a_program_that_raises_fails_the_test() -> None:
    class BugError(Exception):
        pass

    async def program(_: FakeContainer) -> None:
        raise BugError("in the test's own program")

    results = list[RunResult]()

    async def use() -> None:
        async with FakeEngine(program) as engine, DockerRunner(connect=engine.connect) as runner:
            results.append(await runner.run(RunRequest(image="fake:1", capture_output=True)))

    with pytest.raises(BugError):
        await use()
    assert results[0].exit_code == 1
    assert b"BugError: in the test's own program" in (results[0].stderr or b"")


async def test_an_exception_of_the_block_comes_out_bare() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with FakeEngine():
            raise KeyError("mine")


async def test_out_of_memory(autojump_clock: MockClock) -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(b"allocating\n")
        await container.out_of_memory()

    async with FakeEngine(program) as engine, DockerRunner(connect=engine.connect) as runner:
        result = await runner.run(RunRequest(image="fake:1", capture_output=True))
    assert (result.exit_code, result.oom_killed, result.stdout) == (137, True, b"allocating\n")
    assert autojump_clock.current_time() < 60


async def test_what_was_asked_can_be_looked_at() -> None:
    async with FakeEngine() as engine, DockerRunner(connect=engine.connect, memory="64m") as runner:
        await runner.run(RunRequest(image="fake:1"))
        (create,) = engine.requests("container_create")
        assert b'"Memory":67108864' in create.body
        assert create.query["name"].startswith("light-runner-")
        assert "light-runner-isolated" in engine.networks
        assert engine.leftovers == []
        with pytest.raises(AssertionError, match="no_such"):
            engine.requests("no_such")


async def test_images_and_a_registry_can_be_named() -> None:
    async with (
        FakeEngine(images=["here:1"], registry=["there:1"]) as engine,
        DockerRunner(connect=engine.connect) as runner,
    ):
        for image in ("here:1", "there:1"):
            assert (await runner.run(RunRequest(image=image))).success
        with pytest.raises(LightRunnerError, match="manifest for nowhere:1 not found"):
            await runner.run(RunRequest(image="nowhere:1"))
        assert sorted(engine.images) == ["here:1", "there:1"]


async def test_the_engine_client_alone() -> None:
    async with FakeEngine() as engine, EngineClient(connect=engine.connect) as client:
        labels = {"a": "1"}
        created = await client.container_create(ContainerCreateRequest(image="i:1", labels=labels), name="c")
        await client.volume_create(VolumeCreateRequest(name="v", labels=labels))
        for wanted, count in ((["a"], 1), (["a=1"], 1), (["a=2"], 0), (["b"], 0)):
            assert len(await client.container_list(all=True, filters={"label": wanted})) == count
            assert len(await client.volume_list(filters={"label": wanted})) == count
        assert await client.container_list() == []
        with pytest.raises(EngineResponseError, match="already in use"):
            await client.container_create(ContainerCreateRequest(image="i:1"), name="c")
        await client.put_container_archive(created.id, "/tmp", _tar("f", b"data"))  # noqa: S108 - the container's
        async with client.container_archive("c", "/tmp/f") as archive:  # noqa: S108
            assert b"data" in await archive.receive_some()
        with pytest.raises(EngineNotFound, match="HTTP 404"):
            await client.container_archive_info("c", "/none")
        assert engine.containers[0].files.read("/tmp/f") == b"data"  # noqa: S108
        await client.container_start("c")
        await engine.containers[0].ended.wait()
        await client.container_delete("c")
        assert engine.leftovers == ["volume v"]
        await client.volume_prune()
        assert engine.leftovers == []


def test_connect_takes_the_place_of_a_host() -> None:
    with pytest.raises(EngineEndpointError, match="takes the place"):
        EngineClient("unix:///x", connect=FakeEngine().connect)
    with pytest.raises(LightRunnerError, match="takes the place"):
        DockerRunner(host="unix:///x", connect=FakeEngine().connect)


async def test_no_socket_and_nothing_outside_its_block() -> None:
    engine = FakeEngine()
    with pytest.raises(AssertionError, match="inside its block"):
        await engine.connect()


# --- its parts --------------------------------------------------------------------------------------------------------


def _tar(name: str, data: bytes) -> bytes:
    files = FileSystem()
    files.write(f"/{name}", data)
    return files.tar(f"/{name}")


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda name: name not in {".", ".."}
)


@given(st.dictionaries(st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=600), max_size=6))
def test_what_is_packed_unpacks_as_it_was(contents: dict[str, bytes]) -> None:
    files = FileSystem()
    files.mkdir("/top")
    kept: dict[str, bytes] = {}
    for path, data in contents.items():
        # A file is no folder of another one.
        if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in kept):
            files.write(f"/top/{path}", data)
            kept[path] = data
    copy = FileSystem()
    copy.untar("/", files.tar("/top"))
    assert {path: copy.read(f"/top/{path}") for path in kept} == kept
    assert copy.names("/top") == files.names("/top")


def test_links_in_the_middle_of_a_path_are_followed() -> None:
    files = FileSystem()
    files.write("/real/file", b"data")
    files.symlink("real", "/link")
    files.symlink("/loop", "/loop")
    assert files.read("/link/file") == b"data"
    assert files.read("/link/../real/file") == b"data"
    assert not files.exists("/loop")
    with pytest.raises(FileNotFoundError):
        files.read("/loop")
    files.untar("/link", _tar("new", b"new"))
    assert files.read("/real/new") == b"new"
    files.remove("/real")
    assert not files.exists("/link/file")
    with pytest.raises(FileNotFoundError):
        files.untar("/none", _tar("f", b""))
    with pytest.raises(tarfile.TarError):
        files.untar("/", b"no archive")


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
variables = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(
    command=st.lists(words, min_size=1, max_size=3).map(lambda rest: ["program", *rest]),
    env=st.dictionaries(variables, words, max_size=4),
    has_input=st.booleans(),
)
def test_what_a_gate_is_told_is_understood(command: list[str], env: dict[str, str], *, has_input: bool) -> None:
    line = dispatch_script(command, [f"{name}={value}" for name, value in env.items()], [], has_input=has_input)
    assert read_dispatch(line.decode()) == (command, env, has_input)


def test_a_gate_is_told_from_other_commands() -> None:
    assert gate_nonce(["sh", "-c", gate_script("0123abcd")]) == "0123abcd"
    assert gate_nonce(["sh", "-c", "echo 0123abcd; true"]) is None
    assert gate_nonce(["python"]) is None


async def test_a_pipe_makes_its_writer_wait() -> None:
    client, server = memory_connection()
    with trio.move_on_after(0.05) as scope:
        await client.send_all(bytes(10_000_000))
    assert scope.cancelled_caught
    received = 0
    with suppress(trio.BrokenResourceError), trio.move_on_after(0.05):
        while data := await server.receive_some():
            received += len(data)
    assert 0 < received < 1_000_000
    await server.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")
    assert client.is_readable()
    assert await client.receive_some(10) == b""


@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize("data", [None, b"\0input"])
async def test_secrets(tmp_path: Path, *, is_warm: bool, data: bytes | None) -> None:
    async def program(container: FakeContainer) -> None:
        assert container.command == "run it"
        await container.stdout(container.files.read("/run/secrets/key") + container.files.read("/run/secrets/b"))
        await container.stdout(await container.stdin())

    entries = [ExtractSpec("/run/secrets/key", tmp_path)]
    secrets = {"key": bytes(range(256)) * 1000, "b": b""}
    request = RunRequest(
        image="fake:1", entrypoint="run it", secrets=secrets, input=data, extract=entries, capture_output=True
    )
    async with FakeEngine(program) as engine, DockerRunner(connect=engine.connect) as runner:
        if is_warm:
            async with runner.warm(request, size=1) as pool:
                result = await pool.run(request)
        else:
            result = await runner.run(request)
    assert result.stdout == secrets["key"] + (data or b"")
    assert [extracted.status for extracted in result.extracted or ()] == ["missing"]
    assert engine.leftovers == []
