"""Registries: whose image it is, what is sent to log in, and that secrets are not shown."""

import base64
import json
from typing import Any

import pytest

from lightrunner import RegistryAuth, RunnerOptions
from lightrunner.engine.registries import auth_header, auth_headers, registry_name, registry_of
from lightrunner.plan import check_options
from lightrunner.rules.violation import RuleViolation

SECRET = "s3cret-\xff?>"  # noqa: S105  # nobody's


@pytest.mark.parametrize(
    ("repository", "registry"),
    [
        ("busybox", "docker.io"),
        ("library/busybox", "docker.io"),
        ("docker.io/library/busybox", "docker.io"),
        ("index.docker.io/library/busybox", "docker.io"),
        ("localhost/x", "localhost"),
        ("registry:5000/x", "registry:5000"),
        ("registry.example/a/b", "registry.example"),
        ("127.0.0.1:15000/x", "127.0.0.1:15000"),
        ("[::1]:5000/x", "[::1]:5000"),
        ("Upper/x", "Upper"),
    ],
)
def test_the_registry_of_an_image(repository: str, registry: str) -> None:
    assert registry_of(repository) == registry


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("https://registry:5000/v2/", "registry:5000"),
        ("http://registry", "registry"),
        ("registry:5000", "registry:5000"),
    ],
)
def test_keys_of_the_config_file(key: str, name: str) -> None:
    assert registry_name(key) == name


@pytest.mark.parametrize(
    ("auth", "registry", "sent"),
    [
        (
            RegistryAuth("me", SECRET),
            "registry:5000",
            {"username": "me", "password": SECRET, "serveraddress": "registry:5000"},
        ),
        (
            RegistryAuth("me", identity_token=SECRET),
            "docker.io",
            {"identitytoken": SECRET, "serveraddress": "https://index.docker.io/v1/"},
        ),
    ],
)
def test_what_is_sent(auth: RegistryAuth, registry: str, sent: dict[str, str]) -> None:
    header = auth_header(auth, registry)
    assert len(header) % 4 == 0
    assert not set(header) & set(b"+/")
    assert json.loads(base64.urlsafe_b64decode(header)) == sent


def test_secrets_are_not_shown() -> None:
    auth = RegistryAuth("me", SECRET, SECRET)
    options = RunnerOptions(registry_auth={"registry:5000": auth})
    plan = check_options(options)
    for shown in (repr(auth), str(auth), f"{auth}", repr(auth.__rich_repr__()), repr(options), repr(plan)):
        assert SECRET not in shown
        assert "s3cret" not in shown
    assert plan.registry_auth == {"registry:5000": auth}


def test_docker_hub_by_any_name() -> None:
    auth = RegistryAuth("me", SECRET)
    for key in ("docker.io", "https://index.docker.io/v1/", "index.docker.io"):
        assert check_options(RunnerOptions(registry_auth={key: auth})).registry_auth == {"docker.io": auth}


not_text: Any = b"s3cret"


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (["s3cret"], "registry_auth='<list>': not a mapping"),
        ({"r": ("me", "s3cret")}, r"registry_auth\['r'\]='<tuple>': not a RegistryAuth"),
        ({"r": RegistryAuth("me", not_text)}, r"registry_auth\['r'\]\.password='<bytes>': not a str"),
        ({"": RegistryAuth("me", "s3cret")}, "registry_auth registry='': not the host"),
        ({3: RegistryAuth("me", "s3cret")}, "registry_auth registry=3: not a str"),
    ],
)
def test_credentials_that_are_refused_are_not_shown(value: Any, match: str) -> None:
    with pytest.raises(RuleViolation, match=match) as caught:
        check_options(RunnerOptions(registry_auth=value))
    assert "s3cret" not in repr(caught.value)


def test_the_header_is_for_the_registry_of_the_image() -> None:
    auth = RegistryAuth(username="u", password=SECRET)
    assert auth_headers(None, "registry:5000/a") == ()
    for image in ("registry:5000/a", f"registry:5000/a@sha256:{'0' * 64}"):
        assert auth_headers(auth, image) == ((b"X-Registry-Auth", auth_header(auth, "registry:5000")),)
