"""The webhooks that the API server is told to call: one table, and the objects made from it.

Upstream: kserve/kserve v0.5.1 `config/webhook/manifests.yaml`, in admissionregistration v1.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kfs.api.constants import DEFAULT_NAMESPACE, GROUP, INFERENCE_SERVICE_LABEL
from kfs.manager.objects.kinds import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION, Kind

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

SERVICE_NAME: Final = "kfserving-webhook-server-service"

CONTROL_PLANE_LABEL: Final = "control-plane"
CONVERSION_PATH: Final = "/convert"
MUTATE_PODS_PATH: Final = "/mutate-pods"
MUTATE_V1ALPHA2_PATH: Final = "/mutate-serving-kubeflow-org-v1alpha2-inferenceservice"
MUTATE_V1BETA1_PATH: Final = "/mutate-serving-kubeflow-org-v1beta1-inferenceservice"
VALIDATE_MODELS_PATH: Final = "/validate-serving-kubeflow-org-v1alpha1-trainedmodel"
VALIDATE_V1ALPHA2_PATH: Final = "/validate-serving-kubeflow-org-v1alpha2-inferenceservice"
VALIDATE_V1BETA1_PATH: Final = "/validate-serving-kubeflow-org-v1beta1-inferenceservice"

# An API server asks in the first that it knows; the answer is in the version of the question.
_REVIEW_VERSIONS = ("v1", "v1beta1")
_SERVICE_PORT = 443


@dataclass(frozen=True)
class InstallOptions:
    """Where the manager is: its namespace, and how the API server finds its webhooks.

    `webhook_url` is a base such as `https://192.0.2.1:9443`; without it the Service in `namespace` is called.
    `ca_bundle`: PEM, what the API server trusts; when it is empty the objects carry none.
    """

    namespace: str = DEFAULT_NAMESPACE
    webhook_url: str | None = None
    ca_bundle: bytes = b""

    def client_config(self, path: str) -> Obj:
        """A `clientConfig` for one path.

        The way that is not taken is null: applied over an object that goes the other way, that removes it.
        """
        if self.webhook_url:
            way: Obj = {"url": self.webhook_url.rstrip("/") + path, "service": None}
        else:
            service = {"name": SERVICE_NAME, "namespace": self.namespace, "path": path, "port": _SERVICE_PORT}
            way = {"service": service, "url": None}
        if self.ca_bundle:
            way["caBundle"] = base64.b64encode(self.ca_bundle).decode()
        return way


@dataclass(frozen=True)
class Webhook:
    """One admission webhook: a row of the table. `reason` says why its failure policy is what it is."""

    configuration: str
    name: str
    path: str
    mutating: bool
    group: str
    version: str
    resource: str
    operations: tuple[str, ...]
    failure_policy: str
    reason: str
    timeout_s: int = 10
    object_selector: Obj = field(default_factory=dict)
    namespace_selector: Obj = field(default_factory=dict)

    def entry(self, options: InstallOptions) -> Obj:
        """The webhook as it stands in a configuration object."""
        return {
            "name": self.name,
            "clientConfig": options.client_config(self.path),
            "rules": [
                {
                    "apiGroups": [self.group],
                    "apiVersions": [self.version],
                    "resources": [self.resource],
                    "operations": list(self.operations),
                    "scope": "Namespaced",
                }
            ],
            "failurePolicy": self.failure_policy,
            # Each version has its own webhooks, so none wants another version's objects converted to its own.
            "matchPolicy": "Exact",
            "namespaceSelector": self.namespace_selector,
            "objectSelector": self.object_selector,
            "sideEffects": "None",
            "timeoutSeconds": self.timeout_s,
            "admissionReviewVersions": list(_REVIEW_VERSIONS),
        }


_INFERENCE_SERVICES = f"inferenceservice.{GROUP}"

WEBHOOKS: Final = (
    Webhook(
        configuration=_INFERENCE_SERVICES,
        name="inferenceservice.kfserving-webhook-server.defaulter",
        path=MUTATE_V1ALPHA2_PATH,
        mutating=True,
        group=GROUP,
        version="v1alpha2",
        resource="inferenceservices",
        operations=("CREATE", "UPDATE"),
        failure_policy="Fail",
        reason="an object stored without its stamp would be run by the other controller",
    ),
    Webhook(
        configuration=_INFERENCE_SERVICES,
        name="inferenceservice.kfserving-webhook-server.v1beta1.defaulter",
        path=MUTATE_V1BETA1_PATH,
        mutating=True,
        group=GROUP,
        version="v1beta1",
        resource="inferenceservices",
        operations=("CREATE", "UPDATE"),
        failure_policy="Fail",
        reason="an object stored without its defaults would not be what the user sees run",
    ),
    # CREATE alone, where the original has UPDATE too: almost nothing of a pod may change once it is there, so
    # that a mutation on UPDATE makes the API server refuse the request of whoever updated the pod.
    Webhook(
        configuration=_INFERENCE_SERVICES,
        name="inferenceservice.kfserving-webhook-server.pod-mutator",
        path=MUTATE_PODS_PATH,
        mutating=True,
        group="",
        version="v1",
        resource="pods",
        operations=("CREATE",),
        failure_policy="Fail",
        reason="a pod without its storage initializer would start without a model; others are not touched",
        object_selector={"matchExpressions": [{"key": INFERENCE_SERVICE_LABEL, "operator": "Exists"}]},
        namespace_selector={"matchExpressions": [{"key": CONTROL_PLANE_LABEL, "operator": "DoesNotExist"}]},
    ),
    Webhook(
        configuration=_INFERENCE_SERVICES,
        name="inferenceservice.kfserving-webhook-server.validator",
        path=VALIDATE_V1ALPHA2_PATH,
        mutating=False,
        group=GROUP,
        version="v1alpha2",
        resource="inferenceservices",
        operations=("CREATE", "UPDATE"),
        failure_policy="Fail",
        reason="a spec that breaks a rule must not be stored: its author would not learn of it",
    ),
    Webhook(
        configuration=_INFERENCE_SERVICES,
        name="inferenceservice.kfserving-webhook-server.v1beta1.validator",
        path=VALIDATE_V1BETA1_PATH,
        mutating=False,
        group=GROUP,
        version="v1beta1",
        resource="inferenceservices",
        operations=("CREATE", "UPDATE"),
        failure_policy="Fail",
        reason="a spec that breaks a rule must not be stored: its author would not learn of it",
    ),
    Webhook(
        configuration=f"trainedmodel.{GROUP}",
        name="trainedmodel.kfserving-webhook-server.validator",
        path=VALIDATE_MODELS_PATH,
        mutating=False,
        group=GROUP,
        version="v1alpha1",
        resource="trainedmodels",
        operations=("CREATE", "UPDATE"),
        failure_policy="Fail",
        reason="a model whose memory could change would make its server run out of it",
    ),
)


def webhook_configurations(options: InstallOptions) -> list[tuple[Kind, Obj]]:
    """The configuration objects: one for each kind and name in the table."""
    made: dict[tuple[Kind, str], Obj] = {}
    for webhook in WEBHOOKS:
        kind = MUTATING_WEBHOOK_CONFIGURATION if webhook.mutating else VALIDATING_WEBHOOK_CONFIGURATION
        empty = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": webhook.configuration},
            "webhooks": [],
        }
        obj = made.setdefault((kind, webhook.configuration), empty)
        obj["webhooks"].append(webhook.entry(options))
    return [(kind, obj) for (kind, _), obj in made.items()]


def conversion(options: InstallOptions) -> Obj:
    """`spec.conversion` of the InferenceService CRD."""
    return {
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": options.client_config(CONVERSION_PATH),
            "conversionReviewVersions": list(_REVIEW_VERSIONS),
        },
    }
