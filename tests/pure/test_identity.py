"""What one run is: its user, hostname, hosts and labels."""

from contextlib import suppress

import pytest
from hypothesis import given

from lightrunner.rules.identity import parse_extra_hosts, parse_hostname, parse_labels, parse_user
from lightrunner.rules.violation import RuleViolation

from .strategies import any_text, any_values
from .violations import violation


@pytest.mark.parametrize("value", ["root", "app", "1000", "1000:1000", "app:users", "_apt", "svc.user-1$", "0:0"])
def test_users(value: str) -> None:
    assert parse_user("user", value) == value


@pytest.mark.parametrize("value", ["", ":", "app:", ":users", "a b", "a:b:c", "-1", "2147483648", "1:2147483648", "ü"])
def test_users_that_are_refused(value: str) -> None:
    with violation("user", value, "not a user"):
        parse_user("user", value)


@pytest.mark.parametrize("value", ["a", "job-7", "a.example.org", "1", "a" * 63, f"{'a' * 32}.{'b' * 31}"])
def test_hostnames(value: str) -> None:
    assert parse_hostname("hostname", value) == value


@pytest.mark.parametrize(
    "value", ["", "-a", "a-", "a..b", ".", "a_b", "a" * 64, f"{'a' * 32}.{'b' * 32}", "a b", "a\n"]
)
def test_hostnames_that_are_refused(value: str) -> None:
    with violation("hostname", value, "not a hostname"):
        parse_hostname("hostname", value)


def test_extra_hosts() -> None:
    hosts = {"db": "10.0.0.1", "v6.example.org": "fd00::1", "my_host": "host-gateway"}
    assert parse_extra_hosts("extra_hosts", hosts) == ["db:10.0.0.1", "v6.example.org:fd00::1", "my_host:host-gateway"]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n10.0.0.1 b", "-"])
def test_names_of_hosts_that_are_refused(name: str) -> None:
    with violation("extra_hosts name", name, "not the name of a host"):
        parse_extra_hosts("extra_hosts", {name: "10.0.0.1"})


@pytest.mark.parametrize("address", ["", "10.0.0", "010.0.0.1", "10.0.0.1:80", "fe80::1%eth0", "db", "10.0.0.1\n"])
def test_addresses_that_are_refused(address: str) -> None:
    with violation("extra_hosts['db']", address, "not an IP address"):
        parse_extra_hosts("extra_hosts", {"db": address})


def test_labels() -> None:
    labels = {"tenant": "7", "com.example/x": "", "light-runner": "y"}
    assert parse_labels("labels", labels) == labels


@pytest.mark.parametrize(
    ("name", "match"), [("", "is empty"), ("light-runner.run-id", "lightrunner's own"), (3, "not a str")]
)
def test_labels_that_are_refused(name: object, match: str) -> None:
    with violation("labels name", name, match):
        parse_labels("labels", {name: "x"})


def test_a_label_has_text() -> None:
    with violation("labels['a']", 1, "not a str"):
        parse_labels("labels", {"a": 1})


@pytest.mark.parametrize("value", [None, [], "a=b"])
def test_what_is_no_mapping(value: object) -> None:
    with violation("labels", value, "not a mapping"):
        parse_labels("labels", value)
    with violation("extra_hosts", value, "not a mapping"):
        parse_extra_hosts("extra_hosts", value)


@given(value=any_values, text=any_text)
def test_any_value(value: object, text: str) -> None:
    for check in (
        lambda: parse_user("f", value),
        lambda: parse_hostname("f", text),
        lambda: parse_extra_hosts("f", value),
        lambda: parse_extra_hosts("f", {text: text}),
        lambda: parse_extra_hosts("f", {"a": value}),
        lambda: parse_labels("f", value),
        lambda: parse_labels("f", {text: value}),
    ):
        with suppress(RuleViolation):
            check()
