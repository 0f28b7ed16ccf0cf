"""The agent: a container beside the server that pulls models, logs requests and batches them, as asked for.

The server listens on another port than the one that Knative sends requests to; there the agent listens, and
passes them on. Its environment is that of Knative's own proxy, from which it learns the ports and the probe.

Upstream: kserve/kserve v0.5.1 `pkg/webhook/admission/pod/{agent,batcher}_injector.go`, `cmd/agent/main.go`.

Differs: a pod without containers is left alone, for the API server to say what it lacks; the original panics
(difference 20). A puller without a folder for its models is refused by the name of the annotation that is
missing, not of another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kfs.api.constants import (
    AGENT_ANNOTATION,
    BATCHER_ANNOTATION,
    BATCHER_MAX_LATENCY_ANNOTATION,
    BATCHER_MAX_SIZE_ANNOTATION,
    CONTAINER_NAME,
    ENDPOINT_LABEL,
    INFERENCE_SERVICE_LABEL,
    LOGGER_ANNOTATION,
    LOGGER_MODE_ANNOTATION,
    LOGGER_URL_ANNOTATION,
    MODEL_CONFIG_NAME_ANNOTATION,
    MODEL_CONFIG_PATH_ANNOTATION,
    MODEL_DIR_ANNOTATION,
    MODEL_MOUNT_PATH,
)
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import annotations as annotations_of
from kfs.manager.objects.tree import labels, name, sequence
from kfs.webhook.containers import append, append_volumes, containers, copy_security_context, grant, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kfs.manager.objects.tree import Frozen, Obj
    from kfs.webhook.inputs import Inputs

AGENT_NAME: Final = "agent"
_QUEUE_PROXY_NAME: Final = "queue-proxy"
_REASONS: Final = frozenset({AGENT_ANNOTATION, BATCHER_ANNOTATION, LOGGER_ANNOTATION})
_LOG_MODES: Final = ("all", "request", "response")
_MODELS_VOLUME: Final = "model-dir"
_LIST_VOLUME: Final = "model-config"
_LIST_MOUNT_PATH: Final = "/mnt/configs"


def wants_agent(pod: Frozen) -> bool:
    """Whether the pod asks for something that the agent does, and does not have it yet."""
    present = containers(pod)
    return bool(present) and not _REASONS.isdisjoint(annotations_of(pod)) and named(present, AGENT_NAME) is None


def oddities(pod: Frozen) -> Sequence[str]:
    """Warnings about what the agent of a pod will not like, although the pod is let in."""
    asked = annotations_of(pod)
    mode = asked.get(LOGGER_MODE_ANNOTATION, _LOG_MODES[0])
    if not wants_agent(pod) or LOGGER_ANNOTATION not in asked or mode in _LOG_MODES:
        return ()
    return (
        f'metadata.annotations[{LOGGER_MODE_ANNOTATION}]: "{mode}" is unknown, and the agent will not start with it;'
        f" use one of {', '.join(_LOG_MODES)}",
    )


def inject_agent(pod: Obj, inputs: Inputs) -> None:
    """Add the agent, with its credentials, and for a puller the volumes that it shares with the server.

    Raises:
        ValidationError: a puller is not told what to pull, or where to.
        ConfigError: section `agent`, `logger` or `credentials` is needed and bad.
    """
    if not wants_agent(pod):
        return
    asked = annotations_of(pod)
    present = containers(pod)
    proxies = [c for c in present if c.get("name") == _QUEUE_PROXY_NAME]
    agent: Obj = {
        "name": AGENT_NAME,
        "image": inputs.config.agent.image,
        "args": _arguments(pod, inputs),
        "resources": inputs.config.agent.resources(),
    }
    if BATCHER_ANNOTATION in asked or LOGGER_ANNOTATION in asked:
        agent["readinessProbe"] = {"exec": {"command": ["/agent", "-probe-period", "0"]}}
    copy_security_context(present[0], agent)
    if proxies:
        append(agent, "env", *sequence(proxies[-1], "env"))
    grant(inputs.access(), agent, pod)
    if AGENT_ANNOTATION in asked:
        _share_models(pod, agent)
    append(pod["spec"], "containers", agent)


def _arguments(pod: Frozen, inputs: Inputs) -> list[str]:
    asked = annotations_of(pod)
    arguments: list[str] = []
    if AGENT_ANNOTATION in asked:
        arguments += ["--enable-puller", "true"]
        arguments += _given(asked, {"--config-dir": MODEL_CONFIG_PATH_ANNOTATION, "--model-dir": MODEL_DIR_ANNOTATION})
    if BATCHER_ANNOTATION in asked:
        arguments += ["--enable-batcher", "true"]
        limits = {"--max-batchsize": BATCHER_MAX_SIZE_ANNOTATION, "--max-latency": BATCHER_MAX_LATENCY_ANNOTATION}
        arguments += _given(asked, limits)
    if LOGGER_ANNOTATION in asked:
        url = asked.get(LOGGER_URL_ANNOTATION)
        arguments += ["--log-url", inputs.config.logger.default_url if url is None else url]
        arguments += ["--source-uri", name(pod)]
        arguments += ["--log-mode", asked.get(LOGGER_MODE_ANNOTATION, _LOG_MODES[0])]
        arguments += ["--inference-service", labels(pod).get(INFERENCE_SERVICE_LABEL, "")]
        arguments += ["--namespace", inputs.namespace]
        arguments += ["--endpoint", labels(pod).get(ENDPOINT_LABEL, "")]
    return arguments


def _given(asked: Mapping[str, str], flags: Mapping[str, str]) -> list[str]:
    """The flags whose annotation is there, each followed by its value."""
    return [text for flag, key in flags.items() if key in asked for text in (flag, asked[key])]


def _share_models(pod: Obj, agent: Obj) -> None:
    asked = annotations_of(pod)
    for required in (MODEL_DIR_ANNOTATION, MODEL_CONFIG_NAME_ANNOTATION):
        if required not in asked:
            raise ValidationError(f"can not find {required} label")
    models = {"name": _MODELS_VOLUME, "mountPath": MODEL_MOUNT_PATH}
    append(agent, "volumeMounts", models, {"name": _LIST_VOLUME, "mountPath": _LIST_MOUNT_PATH})
    for server in containers(pod):
        if server.get("name") == CONTAINER_NAME:
            append(server, "volumeMounts", models)
    append_volumes(
        pod,
        {"name": _MODELS_VOLUME, "emptyDir": {}},
        {"name": _LIST_VOLUME, "configMap": {"name": asked[MODEL_CONFIG_NAME_ANNOTATION]}},
    )
