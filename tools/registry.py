"""Run a registry to pull from: Debian's docker-registry, in a container of the engine that pulls.

It is in the engine's network namespace, on an address for which engines use plain HTTP (127.0.0.0/8). Its storage is
removed with the container.
"""

import base64
import json
import tarfile
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import IO

import bcrypt

from tools.images import rootfs
from tools.raw_engine import RawEngine, RawEngineError

IMAGE = "lightrunner-test/registry:1"
PACKAGES = ("busybox-static", "docker-registry")
NEEDED = ("bin/", "lib/", "lib64/", "usr/bin/docker-registry")
ADDRESS = "127.0.0.1:15000"
ADDRESS_WITH_USERS = "127.0.0.1:15001"
STORAGE = "/srv"

START_TIMEOUT = 20.0
"""Seconds; 0.05 were seen."""

_SERVE = 'printf %s "$USERS" >/htpasswd; printf %s "$CONFIG" >/config.yml; exec docker-registry serve /config.yml'


class Registry:
    """A registry that runs. Its images' names begin with `address`; its files are those of the container."""

    def __init__(self, raw: RawEngine, container_id: str, address: str, users: Mapping[str, str]) -> None:
        self.address = address
        self.container_id = container_id
        self._raw = raw
        # Push wants the header even where nobody asks who pushes: with an empty JSON object in it.
        login = [{"username": name, "password": password} for name, password in users.items()] or [{}]
        self._headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(login[0]).encode()).decode()}

    def push(self, image: str, name: str, tag: str) -> str:
        """Push an image that the engine has under another name, and return its digest."""
        repository = f"{self.address}/{name}"
        self._raw.request("POST", f"/images/{image}/tag", query={"repo": repository, "tag": tag})
        try:
            path = f"/images/{repository}/push"
            _, answer = self._raw.request("POST", path, query={"tag": tag}, headers=self._headers)
        finally:
            self._raw.request("DELETE", f"/images/{repository}:{tag}")
        messages = [json.loads(line) for line in answer.splitlines()]
        digests: list[str] = [message["aux"]["Digest"] for message in messages if "aux" in message]
        if not digests:
            raise RawEngineError(200, f"{repository}:{tag} was not pushed: {messages[-1]}")
        return digests[-1]

    def blob_path(self, digest: str) -> str:
        """Where the container keeps the content of a digest."""
        kind, _, hexadecimal = digest.partition(":")
        return f"{STORAGE}/docker/registry/v2/blobs/{kind}/{hexadecimal[:2]}/{hexadecimal}/data"


@contextmanager
def running_registry(
    raw: RawEngine, users: Mapping[str, str] | None = None, *, address: str | None = None
) -> Generator[Registry]:
    """Start a registry; it is gone at the end, with all that was pushed.

    Args:
        raw: the engine.
        users: passwords by user; nobody else is served. None: everybody is.
        address: where it listens, in the engine's network namespace; None: where only that engine reaches it.
    """
    if address is None:
        address = ADDRESS_WITH_USERS if users else ADDRESS
    if not raw.has_image(IMAGE):
        with tempfile.TemporaryFile() as image:
            _pack(image)
            raw.import_image(IMAGE, image)
    body = {
        "Image": IMAGE,
        "Cmd": ["sh", "-c", _SERVE],
        "Env": [f"CONFIG={_config(address, with_users=bool(users))}", f"USERS={_htpasswd(users or {})}"],
        "Tty": True,  # its log then has no frames
        "HostConfig": {"NetworkMode": "host"},
    }
    container_id: str = raw.json("POST", "/containers/create", json=body)["Id"]
    try:
        raw.request("POST", f"/containers/{container_id}/start")
        _wait_ready(raw, container_id, address)
        yield Registry(raw, container_id, address, users or {})
    finally:
        raw.remove_container(container_id)


def _pack(image: IO[bytes]) -> None:
    """Write what the registry runs on. Its packages ask for all of Perl besides, to set up an account."""
    with tarfile.open(rootfs(PACKAGES)) as whole, tarfile.open(fileobj=image, mode="w") as part:
        for member in whole:
            if member.name.startswith(NEEDED):
                part.addfile(member, whole.extractfile(member) if member.isreg() else None)
    image.seek(0)


def _config(address: str, *, with_users: bool) -> str:
    config: dict[str, object] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": STORAGE}},
        "http": {"addr": address},
    }
    if with_users:
        config["auth"] = {"htpasswd": {"realm": "registry", "path": "/htpasswd"}}
    return json.dumps(config)  # which is YAML


def _htpasswd(users: Mapping[str, str]) -> str:
    hashes = {name: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode() for name, password in users.items()}
    return "".join(f"{name}:{hashed}\n" for name, hashed in hashes.items())


def _wait_ready(raw: RawEngine, container_id: str, address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    log = ""
    while f"listening on {address}" not in log:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the registry does not start; its log:\n{log}")
        time.sleep(0.02)
        path, query = f"/containers/{container_id}/logs", {"stdout": 1, "stderr": 1}
        log = raw.request("GET", path, query=query)[1].decode(errors="replace")
