"""The Docker CLI's contexts, read from the CLI's own files."""

import hashlib
import json
from pathlib import Path

import pytest

from lightrunner.engine import Endpoint, EngineClient, EngineEndpointError
from lightrunner.engine.contexts import current_context
from lightrunner.engine.endpoint import SshTarget, TlsFiles


def make_context(config: Path, name: str, docker: object) -> Path:
    """Write a context as `docker context create` does; its folder for certificates."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}))
    certificates = config / "contexts" / "tls" / digest / "docker"
    certificates.mkdir(parents=True)
    return certificates


@pytest.mark.parametrize(
    ("docker", "endpoint"),
    [
        ({"Host": "unix:///a.sock", "SkipTLSVerify": False}, Endpoint("/a.sock")),
        ({"Host": "tcp://host:1"}, Endpoint("", "host", 1)),
        ({"Host": "tcp://host:1", "SkipTLSVerify": True}, Endpoint("", "host", 1, TlsFiles(verify=False))),
        ({"Host": "ssh://me@host"}, Endpoint("", ssh=SshTarget("me@host"))),
    ],
)
def test_a_context(tmp_path: Path, docker: object, endpoint: Endpoint) -> None:
    make_context(tmp_path, "mine", docker)
    (tmp_path / "config.json").write_text('{"auths": {}, "currentContext": "mine"}')
    for environ in ({"DOCKER_CONFIG": str(tmp_path)}, {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "mine"}):
        assert current_context(environ) == endpoint


def test_its_certificates(tmp_path: Path) -> None:
    folder = make_context(tmp_path, "mine", {"Host": "tcp://host"})
    for name in ("ca", "cert", "key"):
        (folder / f"{name}.pem").touch()
    endpoint = current_context({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "mine"})
    files = TlsFiles(f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem")
    assert endpoint == Endpoint("", "host", 2376, files)


@pytest.mark.parametrize("config", [None, "{}", '{"currentContext": "default"}', '{"currentContext": ""}'])
def test_the_default_context_is_not_in_a_file(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker" / "config.json").write_text(config)
    assert current_context({"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("config", "docker", "match"),
    [
        ('{"currentContext": "gone"}', {}, "'gone' does not exist: `docker context ls`"),
        ('{"currentContext": "mine"}', {}, "'mine': host '' has no scheme"),
        ('{"currentContext": "mine"}', {"Host": "npipe://x"}, "'mine': host 'npipe://x'"),
        ('{"currentContext": "mine"}', {"Host": 7}, "meta.json is not in the Docker CLI's format: .*Host"),
        ('{"currentContext": 7}', {}, "config.json is not in the Docker CLI's format"),
        ("{", {}, "config.json is not in the Docker CLI's format"),
    ],
)
def test_one_that_cannot_be_used_names_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, docker: object, match: str
) -> None:
    make_context(tmp_path, "mine", docker)
    (tmp_path / "config.json").write_text(config)
    for variable in ("LIGHT_RUNNER_HOST", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(EngineEndpointError, match=match):
        EngineClient()


@pytest.mark.parametrize("content", [b'{"currentContext": "\xff"}', b"\xff\xfe{", b'{"x": ' + b"[" * 100_000])
def test_a_config_of_hostile_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(EngineEndpointError, match="not in the Docker CLI's format"):
        current_context({"DOCKER_CONFIG": str(tmp_path)})


def test_a_config_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(EngineEndpointError, match="Is a directory"):
        current_context({"DOCKER_CONFIG": str(tmp_path)})
