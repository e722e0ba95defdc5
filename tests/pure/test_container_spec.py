"""The body of a container create, as JSON and field by field: all limits of the sandbox, and nothing else."""

import json
from typing import Any

import pytest

from lightrunner import RunnerOptions, RunRequest
from lightrunner.engine import wire
from lightrunner.plan import check_options, check_request
from lightrunner.runs.container import container_spec
from lightrunner.runs.measure import Measured

ID = "0b5e"


def body_of(
    request: RunRequest, options: RunnerOptions | None = None, network_mode: str = "none", **more: Any
) -> dict[str, Any]:
    """What is sent for a request."""
    plan, sandbox = check_request(request), check_options(options or RunnerOptions())
    spec = container_spec(plan, sandbox, image=request.image, run_id=ID, network_mode=network_mode, **more)
    body: dict[str, Any] = json.loads(wire.encode(spec))
    return body


def test_the_volume_is_mounted_elsewhere_or_not_at_all() -> None:
    plan, sandbox = check_request(RunRequest(image="i", workdir="/link")), check_options(RunnerOptions())
    targets: list[list[str]] = []
    for mount_at in ("", "/real", None):
        body = container_spec(plan, sandbox, image="i", run_id=ID, network_mode="none", mount_at=mount_at)
        assert body.working_dir == "/link"
        targets.append([mount.target for mount in body.host_config.mounts or ()])
    assert targets == [["/link"], ["/real"], []]


def test_the_least_of_a_request() -> None:
    assert body_of(RunRequest(image="busybox")) == {
        "Image": "busybox",
        "WorkingDir": "/app",
        "Labels": {"light-runner.run-id": ID},
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": f"light-runner-{ID}",
                    "Target": "/app",
                    "VolumeOptions": {"Labels": {"light-runner.run-id": ID}},
                }
            ],
            "Memory": 512 * 2**20,
            "MemorySwap": 512 * 2**20,
            "NanoCpus": 10**9,
            "PidsLimit": 100,
            "CapDrop": ["NET_RAW", "MKNOD", "SYS_CHROOT", "SETPCAP", "SETFCAP", "AUDIT_WRITE"],
            "SecurityOpt": ["no-new-privileges"],
            "NetworkMode": "none",
            "LogConfig": {"Type": "none"},
        },
    }


def test_a_request_with_everything() -> None:
    request = RunRequest(
        image="python:3",
        entrypoint="python main.py; exit 3",
        dir="src",
        input=[1],
        env={"A": "b=c", "not-posix": "x"},
        workdir="/work:ro",
    )
    options = RunnerOptions(
        memory="1g",
        cpus=1.5,
        runtime="runsc",
        gpus="device=0,1,driver=nvidia,capabilities=utility",
        no_new_privileges=False,
    )
    owned = {"light-runner.run-id": ID, "light-runner.owner": "host 1 2"}
    targets = {"light-runner.extract-targets": '["/a", "\\u00e9"]'}
    assert body_of(request, options, "f00d", owner="host 1 2", targets=["/a", "é"], state_dir="/s \udcff") == {
        "Image": "python:3",
        "Entrypoint": ["sh", "-c", "python main.py; exit 3"],
        "Cmd": [],
        "Env": ["A=b=c"],
        "WorkingDir": "/work:ro",
        "Labels": {**owned, **targets, "light-runner.detached": "1200.0", "light-runner.state-dir": "/s%20%FF"},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": f"light-runner-{ID}",
                    "Target": "/work:ro",
                    "VolumeOptions": {"Labels": owned},
                }
            ],
            "Memory": 2**30,
            "MemorySwap": 2**30,
            "NanoCpus": 15 * 10**8,
            "PidsLimit": 100,
            "CapDrop": ["NET_RAW", "MKNOD", "SYS_CHROOT", "SETPCAP", "SETFCAP", "AUDIT_WRITE"],
            "NetworkMode": "f00d",
            "Runtime": "runsc",
            "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["0", "1"], "Capabilities": [["gpu", "utility"]]}],
            "LogConfig": {"Type": "json-file", "Config": {"max-file": "2", "max-size": "16m"}},
        },
    }


def test_walls_that_were_moved() -> None:
    options = RunnerOptions(
        pids=7,
        read_only=True,
        tmpfs={"/scratch": "1m"},
        ulimits={"nofile": (10, -1), "core": 0},
        seccomp={"defaultAction": "SCMP_ACT_ERRNO"},
        userns="host",
    )
    body = body_of(RunRequest(image="busybox"), options)
    host = body["HostConfig"]
    assert host["PidsLimit"] == 7
    assert host["ReadonlyRootfs"] is True
    assert host["Tmpfs"] == {"/tmp": f"size={256 * 2**20}", "/scratch": f"size={2**20}"}  # noqa: S108  # the container's
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": -1}, {"Name": "core", "Soft": 0, "Hard": 0}]
    assert host["SecurityOpt"] == ["no-new-privileges", 'seccomp={"defaultAction":"SCMP_ACT_ERRNO"}']
    assert host["UsernsMode"] == "host"


def test_a_limit_of_the_disk_is_one_of_the_workdir_too() -> None:
    host = body_of(RunRequest(image="busybox"), RunnerOptions(disk="1m"))["HostConfig"]
    assert host["StorageOpt"] == {"size": "1048576"}
    assert "Mounts" not in host


@pytest.mark.parametrize(
    ("options", "workdir", "tmpfs"),
    [
        (RunnerOptions(read_only=True, tmpfs={"/tmp": "1k"}), "/app", {"/tmp": "size=1024"}),  # noqa: S108  # as above
        (RunnerOptions(read_only=True), "/tmp", None),  # noqa: S108  # as above
        (RunnerOptions(tmpfs={"/a": 1}), "/app", {"/a": "size=1"}),
        (RunnerOptions(userns="remap"), "/app", None),
    ],
)
def test_folders_in_memory(options: RunnerOptions, workdir: str, tmpfs: dict[str, str] | None) -> None:
    host = body_of(RunRequest(image="busybox", workdir=workdir), options)["HostConfig"]
    assert host.get("Tmpfs") == tmpfs
    assert "UsernsMode" not in host  # To demand it is ours.


def test_what_a_run_is() -> None:
    request = RunRequest(
        image="busybox", user="1:2", hostname="job", extra_hosts={"db": "::1"}, labels={"tenant": "7", "a": ""}
    )
    body = body_of(request, owner="me")
    owned = {"tenant": "7", "a": "", "light-runner.run-id": ID, "light-runner.owner": "me"}
    assert (body["User"], body["Hostname"], body["Labels"]) == ("1:2", "job", owned)
    assert body["HostConfig"]["ExtraHosts"] == ["db:::1"]
    assert body["HostConfig"]["Mounts"][0]["VolumeOptions"]["Labels"] == owned


def test_the_image_to_run_may_be_another_than_the_requests() -> None:
    plan = check_request(RunRequest(image="busybox"))
    spec = container_spec(plan, check_options(RunnerOptions()), image="cached:1", run_id=ID, network_mode="none")
    assert spec.image == "cached:1"


@pytest.mark.parametrize(("timeout", "label"), [(None, "none"), (30, "30.0"), (0.1, "0.1")])
def test_a_detached_run_carries_its_time_out(timeout: float | None, label: str) -> None:
    body = body_of(RunRequest(image="busybox", timeout=timeout), state_dir="/state")
    assert body["Labels"]["light-runner.detached"] == label


def test_an_empty_input_is_an_input() -> None:
    body = body_of(RunRequest(image="busybox", input=b""))
    assert (body["OpenStdin"], body["StdinOnce"], body["AttachStdin"]) == (True, True, True)


@pytest.mark.parametrize(
    ("gpus", "request_"),
    [("all", {"Count": -1, "Capabilities": [["gpu"]]}), (2, {"Count": 2, "Capabilities": [["gpu"]]})],
)
def test_counts_of_gpus(gpus: str | int, request_: dict[str, Any]) -> None:
    body = body_of(RunRequest(image="busybox"), RunnerOptions(gpus=gpus))
    assert body["HostConfig"]["DeviceRequests"] == [request_]


def test_a_measured_run_has_process_1_of_ours() -> None:
    how = Measured("light-runner-init-1", "f" * 32, ["sh", "-c", "true"])
    body = body_of(RunRequest(image="busybox", entrypoint="true", env={"A": "b"}), measured=how)
    assert body["Entrypoint"] == ["/.light-runner/init", "run", "sh", "-c", "true"]
    assert body["Env"] == ["A=b", "LIGHT_RUNNER_USAGE=" + "f" * 32]
    assert body["HostConfig"]["Mounts"][1:] == [
        {"Type": "volume", "Source": "light-runner-init-1", "Target": "/.light-runner", "ReadOnly": True}
    ]


def test_a_terminal_and_its_size() -> None:
    body = body_of(RunRequest(image="busybox", tty=True, tty_size=(33, 120)))
    assert (body["Tty"], body["HostConfig"]["ConsoleSize"], body["OpenStdin"]) == (True, [33, 120], True)
