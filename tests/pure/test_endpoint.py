"""Where the daemon is.

Invariant: a host is an endpoint with a socket's path or an address, or is refused with EngineEndpointError; never
another exception.
"""

import pytest
from hypothesis import given

from lightrunner.engine import Endpoint, EngineEndpointError, find_endpoint
from lightrunner.engine.endpoint import DEFAULT_SOCKET, SshTarget, TlsFiles, parse_endpoint

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
        ("fd://3", "unsupported scheme 'fd'; supported: unix, tcp, ssh"),
        *(
            (f"ssh://{rest}", "is not ssh://user@host:port/path")
            for rest in ("", "me@", "@h", "me:pw@h", "h:x", "h?q", "h#f")
        ),
        *(
            (f"ssh://{rest}", "is not ssh://user@host:port/path")
            for rest in ("-oProxyCommand=x", "-l@h", "a b", "h/a\tb")
        ),
        ("ssh://h/a:b", "a colon in its path"),
        ("npipe:////./pipe/docker", "unsupported scheme 'npipe'"),
        ("https://host", "unsupported scheme 'https'"),
        ("UNIX:///a", "unsupported scheme 'UNIX'"),
        ("://a", "unsupported scheme ''"),
        ("unix://", "absolute path"),
        ("unix://a/b", "absolute path"),
        ("unix:///a\0b", "absolute path"),
        ("unix:///\ud800", "cannot be encoded"),
        ("unix:///" + "a" * 107, "longer than 107 bytes"),
        ("unix:///" + "ä" * 54, "longer than 107 bytes"),
        *((f"tcp://{rest}", "not tcp://host:port") for rest in ("", ":1", "h:x", "h:65536", "h:-1", "[::1", "h:1:2")),
        *((f"tcp://{rest}", "not tcp://host:port") for rest in ("h/path", "h?q", "h#f", "me@h", ":pw@h", "@h")),
        *((f"tcp://{rest}", "not tcp://host:port") for rest in ("a b", "a\nb", "a\tb", "a\0b", "h ", "h\n", "\udcff")),
    ],
)
def test_hosts_that_are_refused(host: str, match: str) -> None:
    with pytest.raises(EngineEndpointError, match=match) as caught:
        parse_endpoint(host)
    assert repr(host) in str(caught.value)


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("ssh://host", SshTarget("host")),
        ("ssh://host/", SshTarget("host")),
        ("ssh://me@host:22", SshTarget("me@host", 22)),
        ("ssh://me@host/run/user/1/docker.sock", SshTarget("me@host", None, "/run/user/1/docker.sock")),
        ("ssh://me@[::1]:22/s", SshTarget("me@::1", 22, "/s")),
    ],
)
def test_ssh(host: str, target: SshTarget) -> None:
    endpoint = parse_endpoint(host, TlsFiles())
    assert endpoint == Endpoint("", ssh=target)
    assert str(endpoint) == host.removesuffix("/")


@given(any_text | any_text.map("unix:///".__add__) | any_text.map("tcp://".__add__) | any_text.map("ssh://".__add__))
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


def test_the_variables_in_their_order() -> None:
    environ = {"LIGHT_RUNNER_HOST": "unix:///first", "DOCKER_HOST": "unix:///second", "DOCKER_CONTEXT": "third"}
    context = Endpoint("/third")
    for expected in ("/first", "/second", "/third"):
        assert find_endpoint(None, environ, bool, lambda environ: context if "DOCKER_CONTEXT" in environ else None) == (
            Endpoint(expected)
        )
        del environ[next(iter(environ))]
    assert find_endpoint(None, environ, lambda _: False, lambda _: None) == Endpoint(DEFAULT_SOCKET)


CERTIFICATES = {f"/certs/{name}.pem" for name in ("ca", "cert", "key")}
WHOLE = TlsFiles("/certs/ca.pem", "/certs/cert.pem", "/certs/key.pem")


@pytest.mark.parametrize(
    ("environ", "there", "tls"),
    [
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}, CERTIFICATES, WHOLE),
        ({"DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/certs"}, CERTIFICATES, WHOLE._replace(verify=False)),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}, {"/certs/ca.pem"}, TlsFiles("/certs/ca.pem")),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}, CERTIFICATES - {"/certs/key.pem"}, WHOLE),
        ({"DOCKER_TLS_VERIFY": "1", "HOME": "/me"}, {"/me/.docker/ca.pem"}, TlsFiles("/me/.docker/ca.pem")),
        ({"DOCKER_TLS_VERIFY": "1"}, set[str](), TlsFiles()),
        ({"DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "", "DOCKER_CERT_PATH": "/certs"}, CERTIFICATES, None),
    ],
)
@pytest.mark.parametrize(("host", "variable"), [("tcp://host", ""), (None, "tcp://host")])
def test_tls(environ: dict[str, str], there: set[str], tls: TlsFiles | None, host: str | None, variable: str) -> None:
    endpoint = find_endpoint(host, {"DOCKER_HOST": variable, **environ}, there.__contains__)
    assert endpoint == Endpoint("", "host", 2376 if tls else 2375, tls)
    assert endpoint.url == ("https://host:2376" if tls else "http://host:2375")
