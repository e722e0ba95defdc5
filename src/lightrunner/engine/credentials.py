"""Find a registry's credentials where ``docker login`` has put them: in the CLI's config file, or with a helper.

A helper is a program, ``docker-credential-<name>``: ``credHelpers`` has one for a registry, ``credsStore`` one for all.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

import msgspec
import trio

from .contexts import config_folder, read_cli_file
from .errors import EngineCredentialsError
from .registries import DOCKER_HUB, HUB_KEY, RegistryAuth, registry_name

HELPER_TIMEOUT: Final = 30.0
"""Seconds. A helper may have to unlock a key ring."""

_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND: Final = b"credentials not found"
"""How a helper says that it has none (docker-credential-helpers, credentials/error.go)."""
_TOKEN_USER: Final = "<token>"  # noqa: S105  # no password: how a helper says that its secret is a token


class _Auth(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(msgspec.Struct, rename="camel"):
    auths: dict[str, _Auth] = {}
    creds_store: str = ""
    cred_helpers: dict[str, str] = {}


class _Answer(msgspec.Struct, rename="pascal"):
    username: str
    secret: str


async def find_credentials(registry: str, environ: Mapping[str, str]) -> RegistryAuth | None:
    """Return the credentials of a registry; None if the Docker CLI has none.

    Args:
        registry: the registry's host, as `registry_of` returns it.
        environ: the environment variables: ``DOCKER_CONFIG`` and ``HOME``, and the helpers' own.

    Raises:
        EngineCredentialsError: a helper failed, or what it or the config file holds cannot be understood.
        EngineEndpointError: the config file cannot be read.
    """
    config = await trio.to_thread.run_sync(read_cli_file, config_folder(environ) / "config.json", _Config, _Config())
    key = HUB_KEY if registry == DOCKER_HUB else registry
    helper = config.cred_helpers.get(key) or config.cred_helpers.get(registry) or config.creds_store
    if helper:
        return await _ask(helper, key, environ)
    # docker login writes the host; older versions wrote URLs.
    entries = {registry_name(name): entry for name, entry in config.auths.items()}
    entry = config.auths.get(key) or entries.get(registry)
    return None if entry is None else _parse(entry, registry)


def _parse(entry: _Auth, registry: str) -> RegistryAuth | None:
    if entry.identitytoken:
        return RegistryAuth(identity_token=entry.identitytoken)
    if not entry.auth:
        return RegistryAuth(entry.username, entry.password) if entry.username else None
    try:
        username, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        username, colon, password = "", "", ""
    if not colon:
        # Without the cause: it has the bytes.
        raise EngineCredentialsError(f"the Docker CLI's config file has credentials for {registry} that are malformed")
    return RegistryAuth(username, password.rstrip("\0"))  # The CLI's own padding.


async def _ask(helper: str, key: str, environ: Mapping[str, str]) -> RegistryAuth | None:
    """Ask a helper. Its output appears in no error: it may hold the secret."""
    program = f"docker-credential-{helper}"
    if _HELPER_NAME.fullmatch(helper) is None:
        raise EngineCredentialsError(f"the Docker CLI's config file names {program!r} as the program for credentials")
    try:
        with trio.fail_after(HELPER_TIMEOUT):
            done = await trio.run_process(
                [program, "get"],
                stdin=key.encode(),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=dict(environ),
            )
    except trio.TooSlowError:
        raise EngineCredentialsError(f"{program} did not answer within {HELPER_TIMEOUT:g} s") from None
    except OSError as error:
        raise EngineCredentialsError(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode:
        if _NOT_FOUND in done.stdout or _NOT_FOUND in done.stderr:
            return None
        raise EngineCredentialsError(f"{program} failed with exit status {done.returncode} for {key}")
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise EngineCredentialsError(f"{program} has an answer for {key} that is not a helper's") from None
    if answer.username == _TOKEN_USER:
        return RegistryAuth(identity_token=answer.secret)
    return RegistryAuth(answer.username, answer.secret)
