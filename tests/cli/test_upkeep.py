"""``reap``, ``cache``, ``doctor`` and ``bench`` on a real daemon."""

import json
import signal
from pathlib import Path

from lightrunner.cli import exits
from tests.cli.conftest import Cli, send, wait_for
from tools.raw_engine import RawEngine

CACHE_LABEL = "light-runner.kind=cache"


def test_reap_takes_what_a_killed_process_has_left(cli: Cli, busybox: str, raw: RawEngine) -> None:
    with cli.started("run", busybox, "--network", "none", "-c", "echo up; sleep 60") as process:
        wait_for(process, b"up\n")
        send(process, signal.SIGKILL)
    (name,) = (it["Names"][0].removeprefix("/") for it in raw.containers(label="light-runner.run-id"))
    assert f"container {name}" in cli.ok("reap", "--dry-run")
    assert len(raw.containers(label="light-runner.run-id")) == 1
    done = cli("doctor")
    assert (done.returncode, name.encode() in done.stdout, b"-> lightrunner reap" in done.stdout) == (1, True, True)
    reaped = json.loads(cli.ok("reap", "--json"))
    assert (reaped["containers"], reaped["dry_run"]) == ([name], False)
    assert raw.containers(label="light-runner.run-id") == []
    assert cli.ok("reap") == ""


def test_the_cache_of_setup_steps(cli: Cli, busybox: str, raw: RawEngine) -> None:
    arguments = ("run", busybox, "--network", "none", "--setup", "echo baked > /baked", "--", "cat", "/baked")
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (0, b"baked\n")
    assert b"Step 2/" in done.stderr, "the build is told, line by line"
    assert cli.ok(*arguments) == "baked\n", "the second run finds the image"
    (image,) = json.loads(cli.ok("cache", "list", "--json"))["images"]
    assert image["tag"].startswith("light-runner-cache:")
    assert image["last_used"] is not None
    assert image["tag"][:20] in cli.ok("cache", "list")
    assert cli.ok("cache", "prune") == "freed 0 B\n", "it was used within a week"
    removed = json.loads(cli.ok("cache", "prune", "--older-than", "0", "--json"))
    assert removed["removed"] == [image["tag"]]
    assert cli.ok("cache", "list") == "IMAGE  SIZE  CREATED  LAST USED\n"
    assert not any("light-runner-cache" in str(it["RepoTags"]) for it in raw.images())


def test_doctor_tells_people_and_programs(cli: Cli, raw: RawEngine) -> None:
    done = cli("doctor", "--json")
    diagnosis = json.loads(done.stdout)
    assert diagnosis["reachable"]
    assert done.returncode == {"ok": 0, "note": 0, "warning": 1, "error": 2}[diagnosis["level"]]
    text = cli("doctor").stdout.decode()
    assert raw.version()["Version"] in text
    assert "chosen by DOCKER_HOST" in text
    assert "\x1b" not in text, "colours are for terminals"


def test_doctor_without_a_daemon(cli: Cli) -> None:
    done = cli("doctor", "--host", "unix:///nowhere.sock")
    assert (done.returncode, done.stderr) == (exits.UNREACHABLE, b"")
    assert b"ERROR    daemon" in done.stdout
    assert b"-> start Docker" in done.stdout


def test_bench_measures_each_way(cli: Cli, busybox: str, tmp_path: Path) -> None:
    done = cli("bench", busybox, "--network", "none", "--samples", "2", "--json", "--", "echo", "hi")
    assert (done.returncode, done.stderr) == (0, b"")
    measured = json.loads(done.stdout)
    assert set(measured["samples"]) == {"cold", "prepared", "warm"}
    assert all(len(samples) == 2 for samples in measured["samples"].values())
    seconds = measured["seconds"]
    assert all(0 < part["first_output"]["p50"] < part["total"]["p50"] for part in seconds.values())
    assert seconds["warm"]["first_output"]["p50"] < seconds["cold"]["first_output"]["p50"]
    table = cli.ok("bench", busybox, "--network", "none", "--samples", "1", "--way", "cold", "--", "true")
    assert [line.split()[:2] for line in table.splitlines()] == [["WAY", "MS"], ["cold", "total"]]
    done = cli("bench", busybox, "--network", "none", "--way", "cold", "--", "false")
    assert (done.returncode, b"does not succeed" in done.stderr) == (exits.FAILED, True)
    assert list(tmp_path.iterdir()) == []
