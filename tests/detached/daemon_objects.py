"""Containers and volumes as other processes, hosts, programs and tools would create them."""

import os
import subprocess
import uuid
from collections.abc import Mapping

from lightrunner.host.owner import Owner, current_owner
from tools.raw_engine import RawEngine

RUN_ID = "light-runner.run-id"
OWNER = "light-runner.owner"


def dead_process() -> Owner:
    """A process of this host that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return current_owner()._replace(pid=process.pid)


def other_process_of_that_number() -> Owner:
    """One whose number was taken again, by this process."""
    assert current_owner().pid == os.getpid()
    return current_owner()._replace(start="1")


def process_before_the_boot() -> Owner:
    """This process' number and start time, of another boot."""
    return current_owner()._replace(boot="00000000-0000-0000-0000-000000000000")


def process_of_another_host() -> Owner:
    """One that cannot be judged from here."""
    return dead_process()._replace(host="another-host")


def labels(owner: Owner | None, run_id: str | None = None) -> dict[str, str]:
    """The labels of a run; light-runner's own have no owner."""
    return {RUN_ID: run_id or str(uuid.uuid4())} | ({} if owner is None else {OWNER: str(owner)})


def add_container(
    raw: RawEngine, image: str, label: Mapping[str, str], *, name: str | None = None, command: str | None = "sleep 300"
) -> str:
    """Make a container and start it, unless it has no command; "true" makes one that has exited. Its name."""
    name = name or f"light-runner-{label[RUN_ID]}"
    body = {"Image": image, "Cmd": ["sh", "-c", command or ""], "Labels": label, "HostConfig": {"NetworkMode": "none"}}
    raw.request("POST", "/containers/create", query={"name": name}, json=body)
    if command is not None:
        raw.request("POST", f"/containers/{name}/start")
    if command == "true":
        raw.json("POST", f"/containers/{name}/wait")
    return name


def add_volume(raw: RawEngine, label: Mapping[str, str], *, name: str | None = None) -> str:
    """Make a volume. Its name."""
    name = name or f"light-runner-{label[RUN_ID]}"
    raw.json("POST", "/volumes/create", json={"Name": name, "Labels": label})
    return name
