"""The pod webhook, through its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest

from kfs.manager.errors import ConfigError
from kfs.manager.objects.tree import clone
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse
from kfs.webhook.pods import mutate, pod_mutator
from tests.samples import config, pod

if TYPE_CHECKING:
    from kfs.api.config import Config


async def ask(tree: Any, settings: Config | None = None) -> AdmissionResponse:
    handler = pod_mutator(lambda: settings or config())
    return await handler(AdmissionRequest(uid="u", operation="CREATE", namespace="ns", object=tree))


async def test_a_pod_of_nobodys_needs_no_configuration() -> None:
    def missing() -> Config:
        raise ConfigError("no configuration")

    tree = pod()
    tree["metadata"]["labels"] = {}
    request = AdmissionRequest(uid="u", operation="CREATE", object=tree)
    response = await pod_mutator(missing)(request)
    assert (response.allowed, response.patch) == (True, None)


async def test_a_pod_that_asks_for_nothing_is_left_alone() -> None:
    response = await ask(pod(uri=None), config(storageInitializer="{"))
    assert (response.allowed, response.patch) == (True, None)


async def test_what_is_injected_is_answered_as_a_patch_once() -> None:
    tree = pod()
    response = await ask(tree)
    assert response.allowed
    after = jsonpatch.apply_patch(tree, list(response.patch or ()))
    assert after == mutate(tree, config())
    assert (await ask(after)).patch is None


async def test_the_pod_that_was_given_is_not_edited() -> None:
    tree = pod()
    before = clone(tree)
    mutate(tree, config())
    assert tree == before


@pytest.mark.parametrize(
    ("tree", "sections", "message"),
    [
        (
            pod(containers=[{"name": "user-container"}]),
            {},
            "Invalid configuration: cannot find container: kfserving-container",
        ),
        (
            pod(),
            {"storageInitializer": {"memoryLimit": "lots"}},
            'Failed to parse resource configuration for "storageInitializer": "quantities'
            " must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\"",
        ),
    ],
)
async def test_what_cannot_be_injected_is_refused(tree: Any, sections: Any, message: str) -> None:
    response = await ask(tree, config(**sections))
    assert (response.allowed, response.code, response.message) == (False, 500, message)
