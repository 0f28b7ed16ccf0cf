"""The InferenceService controller running against a `FakeApi`, in one event loop with virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfs.api.constants import INFERENCE_SERVICE, INFERENCE_SERVICE_CONFIG, KNATIVE_SERVICE
from kfs.controllers.config_rollout import ConfigRollout
from kfs.controllers.inferenceservice import add_inference_services
from kfs.lookups import ConfigSource, count_problems
from kfs.manager.manager import Manager
from kfs.manager.objects.kinds import CONFIG_MAP, EVENT
from tests.samples import config_data, isvc, knative_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kfs.manager.objects.tree import Obj
    from kfs.manager.testing.fake_api import FakeApi

CONFIG_NAMESPACE = "kfserving-system"


@dataclass
class World:
    """The server, and the manager that runs beside it."""

    api: FakeApi
    manager: Manager

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let virtual time pass until the condition holds."""
        async with asyncio.timeout(3600):
            while not condition():  # noqa: ASYNC110 - the time that passes here is virtual
                await asyncio.sleep(0.1)

    def condition(self, type_: str, name: str = "m") -> tuple[str, str, str]:
        """Status, reason and message of a condition of an InferenceService."""
        found = self.api.get(INFERENCE_SERVICE, "ns", name) or {}
        for condition in (found.get("status") or {}).get("conditions") or []:
            if condition["type"] == type_:
                return condition["status"], condition.get("reason", ""), condition.get("message", "")
        return "", "", ""

    async def settle(self) -> None:
        """Let more time pass than anything takes that is under way."""
        await asyncio.sleep(5)

    def metric(self, line: str) -> float:
        """The value of the sample that begins with `line`; 0 when there is none."""
        lines = self.manager.metrics.text().decode().splitlines()
        return next((float(text.rpartition(" ")[2]) for text in lines if text.startswith(line)), 0)

    def events(self, reason: str) -> list[str]:
        """The messages of all Events of that reason, in order."""
        return [event["message"] for event in self.api.all(EVENT) if event["reason"] == reason]


def put_config(api: FakeApi, **sections: Any) -> None:
    """Store the ConfigMap, as an administrator would; see `samples.config_data`."""
    name = {"name": INFERENCE_SERVICE_CONFIG, "namespace": CONFIG_NAMESPACE}
    api.put(CONFIG_MAP, {"metadata": name, "data": config_data(**sections)})


def put_services(api: FakeApi, *names: str) -> None:
    """Store InferenceServices, as users would."""
    for name in names:
        obj = isvc(name=name)
        del obj["metadata"]["uid"]
        api.put(INFERENCE_SERVICE, obj)


def knative_says(api: FakeApi, name: str, ready: str = "True") -> None:
    """Have Knative give the predictor of an InferenceService its status."""
    service: Obj = api.get(KNATIVE_SERVICE, "ns", f"{name}-predictor-default") or {}
    generation = service["metadata"]["generation"]
    status = {**knative_status(ready, revision=generation), "observedGeneration": generation}
    api.put(KNATIVE_SERVICE, {**service, "status": status})


@asynccontextmanager
async def running(api: FakeApi, parallelism: int = 10) -> AsyncIterator[World]:
    """The manager with the InferenceService controller, until the block ends."""
    manager = Manager(api)
    configs = ConfigSource(manager.cache, CONFIG_NAMESPACE)
    count_problems(configs, manager.metrics)
    rollout = ConfigRollout(manager.cache.informer(KNATIVE_SERVICE), parallelism)
    add_inference_services(manager, configs, rollout, manager.events.recorder("test"), workers=4)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(manager.run())
        yield World(api, manager)
        task.cancel()
