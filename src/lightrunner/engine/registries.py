"""Registries: which one an image comes from, and what is sent to log in there. Pure."""

import base64
from typing import Any, Final

import msgspec

from .wire import encode

DOCKER_HUB: Final = "docker.io"
HUB_KEY: Final = "https://index.docker.io/v1/"
"""What the Docker CLI calls Docker Hub, in its config file and to its helpers: the address of the Hub's first API."""

NO_AUTH: Final = ((b"X-Registry-Auth", base64.urlsafe_b64encode(b"{}")),)
"""A push without credentials: the daemon refuses one without the header."""

_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})


class RegistryAuth(msgspec.Struct, frozen=True):
    """The credentials for a registry. Neither `repr` nor `str` shows the password or the token.

    Attributes:
        username: the name to log in with.
        password: the password, or an access token in its place.
        identity_token: a token that ``docker login`` was given in place of a password; `username` is then not used.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"RegistryAuth(username={self.username!r}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("username", self.username)]


def registry_of(repository: str) -> str:
    """Return the registry of an image's name: its first part, if that looks like a host (distribution/reference)."""
    first, slash, _ = repository.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return registry_name(first) if is_host else DOCKER_HUB


def registry_name(key: str) -> str:
    """Return the host, with its port, of a key in the Docker CLI's config file, which may be a URL."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


def auth_headers(auth: RegistryAuth | None, repository: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header with the credentials for an image's registry; none without credentials."""
    return () if auth is None else ((b"X-Registry-Auth", auth_header(auth, registry_of(repository))),)


def auth_header(auth: RegistryAuth, registry: str) -> bytes:
    """Return the value of X-Registry-Auth: JSON in base64url, with padding."""
    address = HUB_KEY if registry == DOCKER_HUB else registry
    if auth.identity_token:
        value = {"identitytoken": auth.identity_token, "serveraddress": address}
    else:
        value = {"username": auth.username, "password": auth.password, "serveraddress": address}
    return base64.urlsafe_b64encode(encode(value))
