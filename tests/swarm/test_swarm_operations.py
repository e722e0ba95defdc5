"""The engine's operations on swarms, nodes, services and tasks."""

import pytest
import trio

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound, EngineResponseError, wire
from tests.swarm.conftest import Swarm
from tools.private_engine import PrivateEngine

pytestmark = pytest.mark.private_engine


def spec(image: str, name: str, script: str, *, replicas: int = 1) -> wire.ServiceSpec:
    return wire.ServiceSpec(
        name=name,
        labels={"a": "b"},
        mode=wire.ServiceMode(replicated=wire.ReplicatedService(replicas=replicas)),
        task_template=wire.TaskSpec(
            container_spec=wire.ContainerSpec(image=image, command=["sh", "-c", script], stop_grace_period=1),
            restart_policy=wire.RestartPolicy(condition="none"),
        ),
    )


async def state_of(engine: EngineClient, service: str, state: str) -> list[wire.Task]:
    while True:
        tasks = await engine.task_list(filters={"service": [service]})
        if tasks and all(task.status.state == state for task in tasks):
            return tasks
        await trio.sleep(0.05)


async def test_a_swarm_of_one() -> None:
    with PrivateEngine() as private:
        async with EngineClient(private.host) as engine:
            with pytest.raises(EngineResponseError) as raised:
                await engine.swarm_inspect()
            assert raised.value.status == 503
            body = wire.SwarmInitRequest(listen_addr="127.0.0.1:2377", advertise_addr="127.0.0.1")
            node_id = await engine.swarm_init(body)
            assert [node.id for node in await engine.node_list()] == [node_id]
            swarm = await engine.swarm_inspect()
            assert swarm.join_tokens.worker != swarm.join_tokens.manager
            join = wire.SwarmJoinRequest(
                remote_addrs=["127.0.0.1:2377"], join_token=swarm.join_tokens.worker, listen_addr="127.0.0.1:2378"
            )
            with pytest.raises(EngineResponseError, match="already part of a swarm"):
                await engine.swarm_join(join)


async def test_nodes(swarm: Swarm) -> None:
    async with EngineClient(swarm.private.manager.host) as engine:
        nodes = await engine.node_list(filters={"role": ["manager"]})
        assert {node.description.hostname for node in nodes} == {"node1", "node2", "node3"}
        assert sum(bool(node.manager_status and node.manager_status.leader) for node in nodes) == 1
        node = await engine.node_inspect("node3")
        assert (node.status.state, node.status.addr, node.spec.availability) == ("ready", "10.77.0.3", "active")
        node.spec.labels = {"disk": "fast"}
        await engine.node_update(node.id, node.version.index, node.spec)
        with pytest.raises(EngineResponseError, match="out of sequence"):
            await engine.node_update(node.id, node.version.index, node.spec)
        changed = await engine.node_inspect(node.id)
        assert changed.spec.labels == {"disk": "fast"}
        changed.spec.labels = {}
        await engine.node_update(node.id, changed.version.index, changed.spec)
        with pytest.raises(EngineNotFound):
            await engine.node_inspect("node4")


async def test_services_and_tasks(swarm: Swarm) -> None:
    async with EngineClient(swarm.private.manager.host) as engine:
        service_id = await engine.service_create(spec(swarm.image, "one", "exec sleep 100"))
        try:
            with pytest.raises(EngineConflict):
                await engine.service_create(spec(swarm.image, "one", "true"))
            (task,) = await state_of(engine, "one", "running")
            assert (await engine.task_inspect(task.id)).service_id == service_id
            assert task.status.container_status is not None
            assert task.status.container_status.container_id
            service = await engine.service_inspect("one")
            assert service.spec.labels == {"a": "b"}
            assert [one.id for one in await engine.service_list(filters={"label": ["a=b"]})] == [service_id]
            await engine.service_update("one", service.version.index, spec(swarm.image, "one", "exit 3", replicas=2))
            with pytest.raises(EngineResponseError, match="out of sequence"):
                await engine.service_update("one", service.version.index, service.spec)
            updated = await engine.service_inspect(service_id)
            assert updated.spec.mode is not None
            assert updated.spec.mode.replicated == wire.ReplicatedService(replicas=2)
        finally:
            await engine.service_delete(service_id)
        for missing in (engine.service_inspect("one"), engine.service_delete("one"), engine.task_inspect("one")):
            with pytest.raises(EngineNotFound):
                await missing
    await swarm.wait_clean()


async def test_logs_of_all_nodes(swarm: Swarm) -> None:
    async with EngineClient(swarm.private.manager.host) as engine:
        await engine.service_create(spec(swarm.image, "say", "hostname", replicas=3))
        try:
            tasks = await state_of(engine, "say", "complete")
            async with engine.service_logs("say") as logs:
                said = b""
                while pieces := await logs.receive():
                    said += b"".join(piece.data for piece in pieces)
            ids = {task.status.container_status.container_id[:12] for task in tasks if task.status.container_status}
            assert set(said.decode().split()) == ids
            assert len({task.node_id for task in tasks}) == 3
        finally:
            await engine.service_delete("say")
    await swarm.wait_clean()
