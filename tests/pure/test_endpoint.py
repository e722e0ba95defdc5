"""Where the daemon is.

Invariant: a host is an endpoint with a socket's path or an address, or is refused with EngineEndpointError; never
another exception.
"""

import pytest
from hypothesis import given

from lightrunner.engine import Endpoint, EngineEndpointError, find_endpoint
from lightrunner.engine.endpoint import DEFAULT_SOCKET, parse_endpoint

from .strategies import any_text


@pytest.mark.parametrize(
    ("host", "endpoint", "text", "url"),
    [
        ("unix:///a/b.sock", Endpoint("/a/b.sock"), "unix:///a/b.sock", "http://docker:80"),
        ("unix:///" + "a" * 106, Endpoint("/" + "a" * 106), "unix:///" + "a" * 106, "http://docker:80"),
        ("unix:///ä \udcff", Endpoint("/ä \udcff"), "unix:///ä \udcff", "http://docker:80"),
        ("tcp://1.2.3.4:99", Endpoint("", "1.2.3.4", 99), "tcp://1.2.3.4:99", "http://1.2.3.4:99"),
        ("tcp://host", Endpoint("", "host", 2375), "tcp://host:2375", "http://host:2375"),
        ("tcp://host:/", Endpoint("", "host", 2375), "tcp://host:2375", "http://host:2375"),
        ("tcp://[::1]:99", Endpoint("", "::1", 99), "tcp://[::1]:99", "http://[::1]:99"),
    ],
)
def test_hosts(host: str, endpoint: Endpoint, text: str, url: str) -> None:
    parsed = parse_endpoint(host)
    assert parsed == endpoint
    assert (str(parsed), parsed.url) == (text, url)


@pytest.mark.parametrize(
    ("host", "match"),
    [
        ("", "no scheme"),
        ("/var/run/docker.sock", "no scheme"),
        ("localhost:2375", "no scheme"),
        ("unix:/a", "no scheme"),
        ("ssh://host", "unsupported scheme 'ssh'; supported: unix, tcp"),
        ("npipe:////./pipe/docker", "unsupported scheme 'npipe'"),
        ("https://host", "unsupported scheme 'https'"),
        ("UNIX:///a", "unsupported scheme 'UNIX'"),
        ("://a", "unsupported scheme ''"),
        ("unix://", "absolute path"),
        ("unix://a/b", "absolute path"),
        ("unix:///a\0b", "absolute path"),
        ("unix:///\ud800", "cannot be encoded"),
        ("unix:///" + "a" * 107, "107 bytes at most"),
        ("unix:///" + "ä" * 54, "107 bytes at most"),
        *((f"tcp://{rest}", "not tcp://host:port") for rest in ("", ":1", "h:x", "h:65536", "h:-1", "[::1", "h:1:2")),
        *((f"tcp://{rest}", "not tcp://host:port") for rest in ("h/path", "h?q", "h#f", "me@h", ":pw@h", "@h")),
        *((f"tcp://{rest}", "not tcp://host:port") for rest in ("a b", "a\nb", "a\tb", "a\0b", "h ", "h\n", "\udcff")),
    ],
)
def test_hosts_that_are_refused(host: str, match: str) -> None:
    with pytest.raises(EngineEndpointError, match=match) as caught:
        parse_endpoint(host)
    assert repr(host) in str(caught.value)


@given(any_text | any_text.map("unix:///".__add__) | any_text.map("tcp://".__add__))
def test_any_host(host: str) -> None:
    try:
        endpoint = parse_endpoint(host)
    except EngineEndpointError:
        return
    assert bool(endpoint.socket) == host.startswith("unix:///")
    assert endpoint.socket or endpoint.address
    assert parse_endpoint(str(endpoint)) == endpoint


HOME = "/home/me/.docker/run/docker.sock"
ROOTLESS = "/run/user/1000/docker.sock"
USUAL = {"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/home/me"}


@pytest.mark.parametrize(
    ("environ", "there", "socket"),
    [
        (USUAL, {DEFAULT_SOCKET, ROOTLESS, HOME}, DEFAULT_SOCKET),
        (USUAL, {ROOTLESS, HOME}, ROOTLESS),
        (USUAL, {HOME}, HOME),
        (USUAL, set[str](), DEFAULT_SOCKET),
        ({}, {ROOTLESS, HOME}, DEFAULT_SOCKET),
        ({"XDG_RUNTIME_DIR": "", "HOME": ""}, {"/docker.sock", "/.docker/run/docker.sock"}, DEFAULT_SOCKET),
        ({"DOCKER_HOST": "", **USUAL}, {ROOTLESS}, ROOTLESS),
        ({"DOCKER_HOST": "unix:///own", **USUAL}, {DEFAULT_SOCKET}, "/own"),
        ({"DOCKER_TLS_VERIFY": "1"}, {DEFAULT_SOCKET}, DEFAULT_SOCKET),
    ],
)
def test_without_a_host(environ: dict[str, str], there: set[str], socket: str) -> None:
    assert find_endpoint(None, environ, there.__contains__) == Endpoint(socket)


@pytest.mark.parametrize("host", ["unix:///given", "tcp://given:1"])
def test_a_given_host_comes_first(host: str) -> None:
    assert find_endpoint(host, {"DOCKER_HOST": "tcp://other", "DOCKER_TLS_VERIFY": ""}) == parse_endpoint(host)


@pytest.mark.parametrize("environ", [{}, {"DOCKER_HOST": "unix:///other"}])
def test_an_empty_host_is_none(environ: dict[str, str]) -> None:
    with pytest.raises(EngineEndpointError, match="no scheme"):
        find_endpoint("", environ)


@pytest.mark.parametrize(("host", "variable"), [("tcp://host:2376", ""), (None, "tcp://host:2376")])
def test_tls_that_is_asked_for_is_not_left_out(host: str | None, variable: str) -> None:
    with pytest.raises(EngineEndpointError, match="'tcp://host:2376': DOCKER_TLS_VERIFY is set"):
        find_endpoint(host, {"DOCKER_HOST": variable, "DOCKER_TLS_VERIFY": "1"})
