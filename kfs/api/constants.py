"""Names that clients, users and other controllers know: kinds, labels, annotations, conditions' owners.

Upstream: kserve/kserve v0.5.1 `pkg/constants/constants.go`.
"""

from __future__ import annotations

from typing import Final, Literal

from kfs.manager.objects.kinds import Kind

GROUP: Final = "serving.kubeflow.org"
INFERENCE_SERVICE = Kind(GROUP, "v1beta1", "InferenceService", "inferenceservices")
INFERENCE_SERVICE_V1ALPHA2 = Kind(GROUP, "v1alpha2", "InferenceService", "inferenceservices")
TRAINED_MODEL = Kind(GROUP, "v1alpha1", "TrainedModel", "trainedmodels")
KNATIVE_SERVICE = Kind("serving.knative.dev", "v1", "Service", "services")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1alpha3", "VirtualService", "virtualservices")

# Where the manager, its ConfigMap and its Service are unless the user says otherwise.
DEFAULT_NAMESPACE: Final = "kfserving-system"
# The ConfigMap with the project's configuration, in the manager's namespace.
INFERENCE_SERVICE_CONFIG: Final = "inferenceservice-config"
FINALIZER: Final = "inferenceservice.finalizers"
TRAINED_MODEL_FINALIZER: Final = "trainedmodel.finalizer"

ComponentType = Literal["predictor", "transformer", "explainer"]
PREDICTOR: Final = "predictor"
TRANSFORMER: Final = "transformer"
EXPLAINER: Final = "explainer"

PROTOCOL_V1: Final = "v1"
PROTOCOL_V2: Final = "v2"

CONTAINER_NAME: Final = "kfserving-container"
# Where the storage initializer puts the model, and where every server looks for it.
MODEL_MOUNT_PATH: Final = "/mnt/models"
# Where an agent that pulls models finds the list of them.
MODEL_CONFIG_PATH: Final = "/mnt/configs"
# A custom container names its model in this variable.
STORAGE_URI_ENV: Final = "STORAGE_URI"
GPU_RESOURCE: Final = "nvidia.com/gpu"
HTTP_PORT: Final = 8080
AGENT_PORT: Final = 9081

INFERENCE_SERVICE_LABEL: Final = f"{GROUP}/inferenceservice"
COMPONENT_LABEL: Final = "component"
ENDPOINT_LABEL: Final = "endpoint"
GKE_ACCELERATOR_ANNOTATION: Final = f"{GROUP}/gke-accelerator"
VISIBILITY_LABEL: Final = "serving.knative.dev/visibility"
CLUSTER_LOCAL: Final = "cluster-local"

MIN_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/minScale"
MAX_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/maxScale"
SCALING_CLASS_ANNOTATION: Final = "autoscaling.knative.dev/class"
DEFAULT_SCALING_CLASS: Final = "kpa.autoscaling.knative.dev"
DEFAULT_MIN_REPLICAS: Final = 1

_INTERNAL: Final = f"internal.{GROUP}"
STORAGE_URI_ANNOTATION: Final = f"{_INTERNAL}/storage-initializer-sourceuri"
AGENT_ANNOTATION: Final = f"{_INTERNAL}/agent"
# What an agent that pulls models works with: the ConfigMap that lists them, where that is mounted, where they go.
MODEL_CONFIG_NAME_ANNOTATION: Final = f"{_INTERNAL}/configVolumeName"
MODEL_CONFIG_PATH_ANNOTATION: Final = f"{_INTERNAL}/configMountPath"
MODEL_DIR_ANNOTATION: Final = f"{_INTERNAL}/modelDir"
LOGGER_ANNOTATION: Final = f"{_INTERNAL}/logger"
LOGGER_URL_ANNOTATION: Final = f"{_INTERNAL}/logger-sink-url"
LOGGER_MODE_ANNOTATION: Final = f"{_INTERNAL}/logger-mode"
BATCHER_ANNOTATION: Final = f"{_INTERNAL}/batcher"
BATCHER_MAX_SIZE_ANNOTATION: Final = f"{_INTERNAL}/batcher-max-batchsize"
BATCHER_MAX_LATENCY_ANNOTATION: Final = f"{_INTERNAL}/batcher-max-latency"
BATCHER_TIMEOUT_ANNOTATION: Final = f"{_INTERNAL}/batcher-timeout"
CONVERSION_ANNOTATION: Final = f"{_INTERNAL}/conversion-data"
# Which controller owns an InferenceService.
RECONCILER_ANNOTATION: Final = f"{GROUP}/reconciler"
# How a TrainedModel names its InferenceService.
PARENT_LABEL: Final = "inferenceservice"

# What an InferenceService carries for itself, and never hands to its children.
HELD_BACK_ANNOTATIONS: Final = frozenset(
    {
        MIN_SCALE_ANNOTATION,
        MAX_SCALE_ANNOTATION,
        STORAGE_URI_ANNOTATION,
        CONVERSION_ANNOTATION,
        RECONCILER_ANNOTATION,
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)
# Knative reads visibility from the Service; on a revision it would be a change of the template.
HELD_BACK_TEMPLATE_LABELS: Final = frozenset({VISIBILITY_LABEL})

READY_EVENT: Final = "InferenceServiceReady"
NOT_READY_EVENT: Final = "InferenceServiceNotReady"
