"""Requests and responses.

Invariant: a response is decoded, or refused with EngineProtocolError; never another exception.
"""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightrunner.engine import EngineProtocolError, wire

from .feeding import Chunks, decoded_or_refused
from .strategies import any_text, json_values

DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: value for name, value in vars(wire).items() if isinstance(value, msgspec.json.Decoder)
}


def test_names_are_the_apis() -> None:
    body = wire.ContainerCreateRequest(
        image="a",
        host_config=wire.HostConfig(
            nano_cpus=1, device_requests=[wire.DeviceRequest(device_ids=["0"])], log_config=wire.LogConfig(type="none")
        ),
    )
    assert json.loads(wire.encode(body)) == {
        "Image": "a",
        "HostConfig": {"NanoCpus": 1, "DeviceRequests": [{"DeviceIDs": ["0"]}], "LogConfig": {"Type": "none"}},
    }


def test_an_empty_list_replaces_where_none_leaves() -> None:
    assert json.loads(wire.encode(wire.ContainerCreateRequest(image="a", cmd=[]))) == {
        "Image": "a",
        "Cmd": [],
        "HostConfig": {},
    }


def test_what_is_not_asked_for_is_skipped() -> None:
    body = b'{"Id":"1","Name":"/a","State":{"OOMKilled":true,"ExitCode":137,"Health":null},"Mounts":[{"Type":1}]}'
    container = wire.decode(wire.CONTAINER_INSPECT, "container_inspect", body)
    assert (container.id, container.name) == ("1", "/a")
    assert (container.state.oom_killed, container.state.exit_code) == (True, 137)


@pytest.mark.parametrize(
    ("body", "message"), [(b'{"StatusCode":1}', None), (b'{"StatusCode":1,"Error":null}', None),
                          (b'{"StatusCode":1,"Error":{"Message":"gone"}}', "gone")]
)  # fmt: skip
def test_both_ways_of_waiting_without_an_error(body: bytes, message: str | None) -> None:
    response = wire.decode(wire.CONTAINER_WAIT, "container_wait", body)
    assert response.status_code == 1
    assert (response.error and response.error.message) == message


def test_lists_that_are_null() -> None:
    assert wire.decode(wire.VOLUME_LIST, "volume_list", b'{"Volumes":null}').volumes is None
    assert wire.decode(wire.IMAGE_LIST, "image_list", b'[{"Id":"1","RepoTags":null}]')[0].repo_tags is None


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"Id":1}', b"{}", b'{"Id":"1"', b'{"Id":"\xff"}', b'{"Id":"1","X":' + b"[" * 10**6]
)
def test_what_cannot_be_read(body: bytes) -> None:
    with pytest.raises(EngineProtocolError, match=r"^container_create: the response cannot be decoded: ."):
        wire.decode(wire.CONTAINER_CREATE, "container_create", body)


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(DECODERS)),
    body=json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100),
)
def test_hostile_bodies(name: str, body: bytes) -> None:
    def decode(chunks: Chunks) -> object:
        return wire.decode(DECODERS[name], "operation", *chunks)

    decoded_or_refused(decode, [body], EngineProtocolError)


def header_of(**stat: object) -> str:
    return base64.b64encode(json.dumps(stat).encode()).decode()


@pytest.mark.parametrize(
    ("mode", "is_dir", "is_symlink"),
    [(0o644, False, False), (1 << 31 | 0o755, True, False), (1 << 27 | 0o777, False, True), (1 << 26, False, False)],
)
def test_path_stat(mode: int, is_dir: bool, is_symlink: bool) -> None:  # noqa: FBT001 - a table's columns
    header = header_of(name="a", size=3, mode=mode, mtime="2024-01-01T00:00:00Z", linkTarget="/b", more=1)
    stat = wire.decode_path_stat("container_archive_info", header)
    assert (stat.name, stat.size, stat.mode, stat.mtime, stat.link_target) == (
        "a",
        3,
        mode,
        "2024-01-01T00:00:00Z",
        "/b",
    )
    assert (stat.is_dir, stat.is_symlink) == (is_dir, is_symlink)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (None, "no header X-Docker-Container-Path-Stat"),
        ("{}", "not base64"),
        ("e30", "not base64"),
        ("e30=\n", "not base64"),
        ("_-8=", "not base64"),
        ("ä", "not base64"),
        ("", "cannot be decoded"),
        ("bm8=", "cannot be decoded"),
        (header_of(mode=-1.5), "cannot be decoded"),
    ],
)
def test_path_stats_that_cannot_be_read(header: str | None, match: str) -> None:
    with pytest.raises(EngineProtocolError, match=f"^container_archive: .*{match}"):
        wire.decode_path_stat("container_archive", header)


@given(any_text | json_values.map(lambda value: base64.b64encode(json.dumps(value).encode()).decode()))
def test_hostile_path_stats(header: str) -> None:
    decoded_or_refused(lambda _: wire.decode_path_stat("operation", header), [], EngineProtocolError)


def test_events_come_on_lines() -> None:
    line = b'{"Type":"container","Action":"kill","Actor":{"ID":"c","Attributes":{"signal":"9"}},"time":1}'
    events = wire.decode_lines(wire.EVENT, "system_events", line + b"\r\n\n" + line)
    assert [(event.action, event.actor.id, event.actor.attributes) for event in events] == [
        ("kill", "c", {"signal": "9"})
    ] * 2
    assert wire.decode_lines(wire.EVENT, "system_events", b"") == []
    with pytest.raises(EngineProtocolError, match="system_events"):
        wire.decode_lines(wire.EVENT, "system_events", line + b"\n{")


def test_stats_of_what_does_not_run_are_0() -> None:
    body = b'{"cpu_stats":{"cpu_usage":{"total_usage":43553174},"throttling_data":{}},"memory_stats":{}}'
    assert wire.decode(wire.CONTAINER_STATS, "container_stats", body).cpu_stats.cpu_usage.total_usage == 43553174
    assert wire.decode(wire.CONTAINER_STATS, "container_stats", b"{}").cpu_stats.cpu_usage.total_usage == 0
