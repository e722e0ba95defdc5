"""Ping, version and info of the real engine, compared with the oracle's."""

from lightrunner.engine import EngineClient
from tools.raw_engine import RawEngine


async def test_ping_tells_the_newest_api_version(client: EngineClient, raw: RawEngine) -> None:
    assert await client.system_ping() == raw.version()["ApiVersion"]


async def test_the_versions(client: EngineClient, raw: RawEngine) -> None:
    told, expected = await client.system_version(), raw.version()
    assert (told.version, told.api_version) == (expected["Version"], expected["ApiVersion"])
    assert (told.min_api_version, told.os, told.arch) == (expected["MinAPIVersion"], expected["Os"], expected["Arch"])
    assert told.kernel_version == expected["KernelVersion"]


async def test_the_configuration(client: EngineClient, raw: RawEngine) -> None:
    told, expected = await client.system_info(), raw.get("/info")
    assert (told.id, told.name, told.ncpu, told.mem_total) == (
        expected["ID"],
        expected["Name"],
        expected["NCPU"],
        expected["MemTotal"],
    )
    assert (told.driver, told.cgroup_driver, told.default_runtime) == (
        expected["Driver"],
        expected["CgroupDriver"],
        expected["DefaultRuntime"],
    )
    assert told.runtimes.keys() == expected["Runtimes"].keys()
    assert told.security_options == expected["SecurityOptions"]
