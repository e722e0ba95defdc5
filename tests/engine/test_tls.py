"""A daemon behind TLS: runs with input and files, and faults of certificates."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, RunRequest
from lightrunner.engine import EngineClient, EngineEndpointError, EngineNotFound, EngineProtocolError, EngineUnreachable
from lightrunner.engine.endpoint import TlsFiles
from lightrunner.engine.tls import tls_context
from tools.certificates import Certificates
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

pytestmark = pytest.mark.private_engine
SIZE = 20_000_000


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def engine(certificates: Certificates) -> Iterator[PrivateEngine]:
    with PrivateEngine(tls=certificates.server) as engine:
        ensure_busybox(RawEngine(engine.host))
        yield engine


@pytest.fixture
def image(engine: PrivateEngine) -> str:
    return ensure_busybox(RawEngine(engine.host))


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder))


async def test_a_run_with_input_and_files(
    engine: PrivateEngine, image: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, certificates.client)
    source = tmp_path / "in"
    source.mkdir()
    (source / "big").write_bytes(b"x" * SIZE)
    request = RunRequest(
        image=image,
        entrypoint="cat >copy; wc -c <copy; wc -c <big; sleep 0.2; echo end",
        dir=source,
        input=b"y" * SIZE,
        network="none",
        capture_output=True,
        extract=[ExtractSpec("copy", tmp_path / "out")],
    )
    async with DockerRunner(host=engine.tcp_host) as runner:
        result = await runner.run(request)
    assert (result.exit_code, result.stdout) == (0, f"{SIZE}\n{SIZE}\nend\n".encode())
    assert (tmp_path / "out" / "copy").read_bytes() == b"y" * SIZE
    assert RawEngine(engine.host).containers() == []


async def test_the_end_of_the_input_while_output_flows(
    engine: PrivateEngine, image: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the output is lost behind the close_notify, and the close_notify is not lost behind the output."""
    use(monkeypatch, certificates.client)
    echo = RunRequest(image=image, entrypoint="cat", input=b"y" * 5_000_000, network="none", capture_output=True)
    async with DockerRunner(host=engine.tcp_host) as runner, runner.warm(echo, size=2) as pool:
        results = [await pool.run(echo) for _ in range(5)] + [await runner.run(echo)]
    assert {(result.exit_code, len(result.stdout or b"")) for result in results} == {(0, 5_000_000)}


async def test_a_context_given_in_code(engine: PrivateEngine, image: str, certificates: Certificates) -> None:
    context = tls_context(TlsFiles(ca=str(certificates.client / "ca.pem")))
    context.load_cert_chain(certificates.client / "cert.pem", certificates.client / "key.pem")
    async with DockerRunner(host=engine.tcp_host, tls=context) as runner:
        result = await runner.run(
            RunRequest(image=image, entrypoint="cat", input={}, network="none", capture_output=True)
        )
        assert result.stdout == b"{}"
        async with runner.warm(RunRequest(image=image, network="none"), size=1) as pool:
            result = await pool.run(
                RunRequest(image=image, entrypoint="cat", input=[1], network="none", capture_output=True)
            )
    assert result.stdout == b"[1]"


async def test_an_upload_that_is_refused_early(
    engine: PrivateEngine, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, certificates.client)
    async with EngineClient(engine.tcp_host) as client:
        for _ in range(5):
            # A write that is blocked when the daemon closes the connection fails, and with trio's SSLStream so does the
            # read of the response.
            with pytest.raises((EngineNotFound, EngineUnreachable)):
                await client.put_container_archive("no-such", "/", (bytes(1 << 20) for _ in range(50)))
        assert await client.system_ping()


@pytest.mark.parametrize(
    ("who", "reason"),
    [("expired", "expired|bad certificate"), ("stranger", "certificate verify failed"), ("missing", "certificate")],
)
async def test_certificates_that_do_not_fit(  # noqa: PLR0917
    engine: PrivateEngine,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    who: str,
    reason: str,
) -> None:
    folder = getattr(certificates, who, tmp_path)
    (tmp_path / "ca.pem").write_bytes((certificates.client / "ca.pem").read_bytes())
    use(monkeypatch, folder)
    async with EngineClient(engine.tcp_host) as client:
        with pytest.raises(EngineUnreachable, match=reason) as caught:
            await client.system_info()
    assert engine.tcp_host in str(caught.value)


async def test_plain_http_to_a_tls_port(engine: PrivateEngine) -> None:
    async with EngineClient(engine.tcp_host) as client:
        with pytest.raises(EngineProtocolError, match="tcp://127"):
            await client.system_ping()


@pytest.mark.parametrize(
    ("broken", "contents"),
    [
        ("ca.pem", b"nonsense"),
        ("cert.pem", b"nonsense"),
        ("key.pem", b"nonsense"),
        ("cert.pem", None),
        ("key.pem", None),
    ],
)
def test_a_broken_file_names_itself(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str, contents: bytes | None
) -> None:
    for path in certificates.client.glob("*.pem"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if contents is not None:
        (tmp_path / broken).write_bytes(contents)
    else:
        (tmp_path / broken).unlink()
    use(monkeypatch, tmp_path)
    with pytest.raises(EngineEndpointError, match=broken):
        EngineClient("tcp://127.0.0.1:1")


@pytest.mark.parametrize("host", ["unix:///a.sock", "ssh://host"])
def test_tls_is_for_tcp(host: str) -> None:
    with pytest.raises(EngineEndpointError, match=f"tls: {host} is not a TCP address"):
        EngineClient(host, tls=ssl.create_default_context())


def test_something_else_in_the_place_of_a_context() -> None:
    with pytest.raises(LightRunnerError, match="not an ssl"):
        DockerRunner(tls="yes")  # type: ignore[arg-type]
