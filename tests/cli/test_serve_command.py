"""``lightrunner serve``: a process that serves until a signal, and leaves nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from lightrunner.cli import exits
from tests.cli.conftest import Cli, send


def listening(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    assert line.startswith("lightrunner: listening on "), line
    return line.split()[-1]


def test_it_serves_until_a_signal_and_leaves_nothing(cli: Cli, busybox: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    body = {"image": busybox, "entrypoint": "echo hi", "capture_output": True, "network": "none"}
    with cli.started("serve", "--listen", f"unix://{path}", "--memory", "64m", "--allow-image", "*") as process:
        assert listening(process) == f"unix://{path}"
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://x", timeout=60) as client:
            result = client.post("/runs", params={"wait": 60}, json=body).json()["result"]
            assert (result["stdout"], result["limits"]["memory"]) == ("hi\n", 64 * 1024 * 1024)
            client.post("/runs", json={**body, "entrypoint": "sleep 60"})
        send(process, signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM
    assert not path.exists()


def test_tcp_with_a_token_of_the_environment(cli: Cli) -> None:
    cli.env["LIGHT_RUNNER_SERVE_TOKEN"] = "x" * 20
    with cli.started("serve", "--listen", "127.0.0.1:0") as process:
        url = listening(process)
        assert httpx.get(f"{url}/runs").status_code == 401
        assert httpx.get(f"{url}/runs", headers={"authorization": f"Bearer {'x' * 20}"}).json() == {"runs": []}
        send(process, signal.SIGINT)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:80", "nonsense"])
def test_addresses_that_are_refused(cli: Cli, address: str) -> None:
    done = cli("serve", "--listen", address)
    assert done.returncode == exits.USAGE
    assert f"listen={address!r}" in done.stderr.decode()


def test_a_token_file_and_a_stale_socket(cli: Cli, tmp_path: Path) -> None:
    assert cli("serve", "--token-file", str(tmp_path / "none")).returncode == exits.USAGE
    cli.env["TMPDIR"] = str(tmp_path)  # a killed server leaves its folder
    path, token = tmp_path / "s", tmp_path / "token"
    token.write_text("y" * 16 + "\n")
    arguments = ("serve", "--listen", f"unix://{path}", "--token-file", str(token))
    with cli.started(*arguments) as process:
        listening(process)
        process.kill()
    assert path.exists()
    with cli.started(*arguments) as process:
        listening(process)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://x") as client:
            assert client.get("/runs").status_code == 401
        send(process, signal.SIGINT)
    assert not path.exists()


def test_without_its_extra_it_says_what_to_install(cli: Cli) -> None:
    program = "import sys; sys.modules['hypercorn'] = None; from lightrunner.cli.app import main; main(['serve'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=cli.env, check=False)
    assert (done.returncode, b"lightrunner[serve]" in done.stderr) == (exits.FAILED, True)
