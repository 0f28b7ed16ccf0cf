"""InferenceService v1alpha2: our fields, as records. The descriptions are what `kubectl explain` shows.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1alpha2/inferenceservice_types.go`.
"""

from typing import Annotated, Any

from msgspec import Meta, field

from kfs.api.records import CONTAINER, RESOURCES, kubernetes
from kfs.api.v1beta1 import Address, Batcher, Record
from kfs.manager.objects.conditions import Condition

StorageURI = Annotated[
    str,
    Meta(
        description=(
            "Where the trained model is: gs://, s3://, pvc://, http://, https://, an Azure blob's address,"
            " or a path in the image."
        )
    ),
]
RuntimeVersion = Annotated[str, Meta(description="Tag of the server's image; by default the configured version.")]
Resources = Annotated[
    dict[str, Any] | None,
    kubernetes(RESOURCES, "What the server asks for and may use; 1 CPU and 2Gi of memory by default."),
]
Threads = Annotated[int, Meta(description="Threads that the server uses, 1 by default.")]


class Logger(Record, frozen=True, kw_only=True):
    """Where copies of requests and responses go."""

    # No enum in the schema, unlike v1beta1: here the webhook answers.
    mode: Annotated[str, Meta(description="What is logged: request, response, or all of both.")] = ""
    url: Annotated[
        str | None,
        Meta(description="HTTP address that gets a CloudEvent for each; by default the configured one."),
    ] = None


class Deployment(Record, frozen=True, kw_only=True):
    """What every component has: identity, scaling, logging and batching."""

    service_account_name: Annotated[str, Meta(description="ServiceAccount that the component's pods run as.")] = ""
    min_replicas: Annotated[
        int | None,
        Meta(description="Fewest pods, 1 by default; 0 lets the component scale to zero when nobody calls it."),
    ] = None
    max_replicas: Annotated[int, Meta(description="Most pods; 0, the default, means no limit.")] = 0
    parallelism: Annotated[
        int,
        Meta(description="Most requests that one pod handles at the same time; 0, the default, means no limit."),
    ] = 0
    logger: Annotated[
        Logger | None, Meta(description="Log what goes in and out, as CloudEvents, to an HTTP address.")
    ] = None
    batcher: Annotated[Batcher | None, Meta(description="Gather requests into batches.")] = None


class Custom(Record, frozen=True, kw_only=True):
    """A container of the user's own."""

    container: Annotated[dict[str, Any] | None, kubernetes(CONTAINER, "The container to run.")] = None


class Framework(Record, frozen=True, kw_only=True):
    """A model server for one kind of model."""

    storage_uri: StorageURI = ""
    runtime_version: RuntimeVersion = ""
    resources: Resources = None


class ThreadedFramework(Framework, frozen=True, kw_only=True):
    """A model server whose number of threads can be set."""

    # Go's `nthread`, a single word; the camel-case rule leaves it alone.
    nthread: Threads = 0


class PyTorch(Framework, frozen=True, kw_only=True):
    """The server for PyTorch models."""

    model_class_name: Annotated[str, Meta(description="Python class of the model; PyTorchModel by default.")] = ""


class ExplainerServer(Record, frozen=True, kw_only=True):
    """A server that explains predictions."""

    type: Annotated[
        str,
        Meta(
            description=(
                "Method. Alibi: AnchorTabular, AnchorImages, AnchorText, Counterfactuals or Contrastive."
                " AIX: LimeImages."
            )
        ),
    ] = ""
    storage_uri: StorageURI = ""
    runtime_version: RuntimeVersion = ""
    resources: Resources = None
    config: Annotated[
        dict[str, str] | None,
        Meta(description="Parameters of the method, handed to the server as arguments."),
    ] = None


class Predictor(Deployment, frozen=True, kw_only=True):
    """The component that runs the model; exactly one server is named."""

    custom: Annotated[Custom | None, Meta(description="Serve with a container of your own.")] = None
    tensorflow: Annotated[
        Framework | None, Meta(description="Serve a TensorFlow SavedModel with TensorFlow Serving.")
    ] = None
    triton: Annotated[
        Framework | None, Meta(description="Serve a model repository with NVIDIA Triton Inference Server.")
    ] = None
    xgboost: Annotated[ThreadedFramework | None, Meta(description="Serve an XGBoost model.")] = None
    lightgbm: Annotated[ThreadedFramework | None, Meta(description="Serve a LightGBM model.")] = None
    sklearn: Annotated[Framework | None, Meta(description="Serve a scikit-learn model.")] = None
    onnx: Annotated[Framework | None, Meta(description="Serve an ONNX model with ONNX Runtime.")] = None
    pytorch: Annotated[PyTorch | None, Meta(description="Serve a PyTorch model.")] = None
    pmml: Annotated[Framework | None, Meta(description="Serve a PMML model.")] = None


class Explainer(Deployment, frozen=True, kw_only=True):
    """The component that explains predictions; exactly one server is named."""

    alibi: Annotated[ExplainerServer | None, Meta(description="Explain with Alibi.")] = None
    aix: Annotated[ExplainerServer | None, Meta(description="Explain with AI Explainability 360.")] = None
    custom: Annotated[Custom | None, Meta(description="Explain with a container of your own.")] = None


class Transformer(Deployment, frozen=True, kw_only=True):
    """The component that changes requests and responses on their way."""

    custom: Annotated[Custom | None, Meta(description="The container that does it.")] = None


class Endpoint(Record, frozen=True, kw_only=True):
    """A complete service: default or canary."""

    predictor: Annotated[
        Predictor | None, Meta(description="Runs the model; name exactly one model server, or custom.")
    ] = None
    explainer: Annotated[Explainer | None, Meta(description="Answers :explain requests.")] = None
    transformer: Annotated[
        Transformer | None,
        Meta(description="Changes requests before they reach the predictor, and its responses."),
    ] = None


class InferenceServiceSpec(Record, frozen=True, kw_only=True):
    """What a user asks for."""

    default: Annotated[
        Endpoint | None, Meta(description="The service that gets the traffic which the canary does not get.")
    ] = None
    canary: Annotated[Endpoint | None, Meta(description="A second service beside the default one, to try it out.")] = (
        None
    )
    canary_traffic_percent: Annotated[
        int | None, Meta(description="Share of the traffic, 0 to 100, that the canary gets.")
    ] = None


class ComponentStatus(Record, frozen=True, kw_only=True):
    """What has become of one component of one endpoint."""

    name: Annotated[str, Meta(description="Newest revision that is ready.")] = ""
    host: Annotated[str, Meta(description="Host name under which the component is reached.")] = ""


class InferenceServiceStatus(Record, frozen=True, kw_only=True):
    """What has become of it."""

    observed_generation: Annotated[int, Meta(description="Generation of the spec that this status speaks of.")] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(description="What is ready and what is not, and why; Ready sums them up."),
    ] = ()
    url: Annotated[str, Meta(description="Base address outside the cluster.")] = ""
    traffic: Annotated[int, Meta(description="Share of the traffic that the default endpoint gets.")] = 0
    canary_traffic: Annotated[int, Meta(description="Share of the traffic that the canary gets.")] = 0
    default: Annotated[dict[str, ComponentStatus], Meta(description="Status of the default endpoint's components.")] = (
        field(default_factory=dict)
    )
    canary: Annotated[dict[str, ComponentStatus], Meta(description="Status of the canary's components.")] = field(
        default_factory=dict
    )
    address: Annotated[Address | None, Meta(description="Where predictions are asked for inside the cluster.")] = None
    annotations: Annotated[dict[str, str] | None, Meta(description="What else is to be known, for other programs.")] = (
        None
    )
