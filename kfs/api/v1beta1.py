"""InferenceService v1beta1: our fields, as records. The descriptions are what `kubectl explain` shows.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1`: `inference_service.go`, `component.go`,
`predictor.go`, `explainer.go`, `transformer.go`, `inference_service_status.go`; knative/serving
`pkg/apis/serving/v1` (TrafficTarget).
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, field

from kfs.api.records import CONTAINER, POD_SPEC
from kfs.manager.objects.conditions import Condition


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What all records of the API have in common."""


class Logger(Record, frozen=True, kw_only=True):
    """Where copies of requests and responses go."""

    # The values are checked by the API server (the CRD's enum) and again by the webhook, which is the one to
    # answer when there is none; so any text makes a record.
    mode: Annotated[
        str,
        Meta(
            description="What is logged: requests, responses, or all of both.",
            extra_json_schema={"enum": ["all", "request", "response"]},
        ),
    ] = ""
    url: Annotated[
        str | None,
        Meta(description="HTTP address that gets a CloudEvent for each; by default the configured one."),
    ] = None


class Batcher(Record, frozen=True, kw_only=True):
    """How requests are gathered into batches."""

    max_batch_size: Annotated[
        int | None, Meta(description="Most instances in a batch; a full batch is sent at once.")
    ] = None
    max_latency: Annotated[
        int | None, Meta(description="Longest time in milliseconds that a request waits for its batch.")
    ] = None
    timeout: Annotated[
        int | None, Meta(description="Time in seconds after which a batch that got no answer has failed.")
    ] = None


class ComponentExtension(Record, frozen=True, kw_only=True):
    """What every component has: scaling, canary rollout, logging and batching."""

    min_replicas: Annotated[
        int | None,
        Meta(description="Fewest pods, 1 by default; 0 lets the component scale to zero when nobody calls it."),
    ] = None
    max_replicas: Annotated[int | None, Meta(description="Most pods; 0, the default, means no limit.")] = None
    container_concurrency: Annotated[
        int | None,
        Meta(description="Most requests that one pod handles at the same time; 0, the default, means no limit."),
    ] = None
    timeout: Annotated[int | None, Meta(description="Seconds that a request may take, 300 by default.")] = None
    canary_traffic_percent: Annotated[
        int | None,
        Meta(
            description=(
                "Share of the traffic, 0 to 100, that goes to the newest revision; the rest stays with the"
                " one rolled out before. Remove the field to roll the newest revision out."
            )
        ),
    ] = None
    logger: Annotated[
        Logger | None,
        Meta(description="Log what goes into and out of a predictor, as CloudEvents, to an HTTP address."),
    ] = None
    batcher: Annotated[Batcher | None, Meta(description="Gather requests to a predictor into batches.")] = None


class FrameworkSpec(Record, frozen=True, kw_only=True):
    """A model server for one kind of model; a container in which everything has a default."""

    inline: ClassVar[str] = CONTAINER

    storage_uri: Annotated[
        str | None,
        Meta(
            description=(
                "Where the trained model is: gs://, s3://, pvc://, http://, https://, an Azure blob's"
                " address, or a path in the image. It is put under /mnt/models before the server starts."
            )
        ),
    ] = None
    runtime_version: Annotated[
        str | None, Meta(description="Tag of the server's image; by default the configured version.")
    ] = None
    protocol_version: Annotated[
        str | None, Meta(description="Prediction protocol that the server speaks: v1 (the default) or v2.")
    ] = None


class TorchServeSpec(FrameworkSpec, frozen=True, kw_only=True):
    """The server for PyTorch models."""

    model_class_name: Annotated[
        str, Meta(description="Python class of the model, protocol v1 only; PyTorchModel by default.")
    ] = ""


class ExplainerServer(Record, frozen=True, kw_only=True):
    """A server that explains predictions; a container in which everything has a default."""

    inline: ClassVar[str] = CONTAINER

    storage_uri: Annotated[
        str | None, Meta(description="Where the trained explainer is, if it needs one; as for a predictor.")
    ] = None
    runtime_version: Annotated[
        str | None, Meta(description="Tag of the server's image; by default the configured version.")
    ] = None
    config: Annotated[
        dict[str, str] | None,
        Meta(description="Parameters of the method, handed to the server as arguments."),
    ] = None


class AlibiSpec(ExplainerServer, frozen=True, kw_only=True):
    """Explanations by Alibi."""

    type: Annotated[
        str,
        Meta(description="Method: AnchorTabular, AnchorImages, AnchorText, Counterfactuals or Contrastive."),
    ] = ""


class AIXSpec(ExplainerServer, frozen=True, kw_only=True):
    """Explanations by AI Explainability 360."""

    type: Annotated[str, Meta(description="Method: LimeImages.")] = ""


class ARTSpec(ExplainerServer, frozen=True, kw_only=True):
    """Adversarial examples by the Adversarial Robustness Toolbox."""

    type: Annotated[str, Meta(description="Method: SquareAttack.")] = ""


class PredictorSpec(ComponentExtension, frozen=True, kw_only=True):
    """The component that runs the model; a pod in which everything has a default."""

    inline: ClassVar[str] = POD_SPEC

    sklearn: Annotated[FrameworkSpec | None, Meta(description="Serve a scikit-learn model.")] = None
    xgboost: Annotated[FrameworkSpec | None, Meta(description="Serve an XGBoost model.")] = None
    tensorflow: Annotated[
        FrameworkSpec | None, Meta(description="Serve a TensorFlow SavedModel with TensorFlow Serving.")
    ] = None
    pytorch: Annotated[
        TorchServeSpec | None,
        Meta(description="Serve a PyTorch model, with TorchServe (protocol v2) or KFServing's own server (v1)."),
    ] = None
    triton: Annotated[
        FrameworkSpec | None,
        Meta(description="Serve a model repository with NVIDIA Triton Inference Server."),
    ] = None
    onnx: Annotated[FrameworkSpec | None, Meta(description="Serve an ONNX model with ONNX Runtime.")] = None
    pmml: Annotated[FrameworkSpec | None, Meta(description="Serve a PMML model.")] = None
    lightgbm: Annotated[FrameworkSpec | None, Meta(description="Serve a LightGBM model.")] = None


class TransformerSpec(ComponentExtension, frozen=True, kw_only=True):
    """The component that changes requests and responses on their way; always a container of the user's."""

    inline: ClassVar[str] = POD_SPEC


class ExplainerSpec(ComponentExtension, frozen=True, kw_only=True):
    """The component that explains predictions; a pod in which everything has a default."""

    inline: ClassVar[str] = POD_SPEC

    alibi: Annotated[AlibiSpec | None, Meta(description="Explain with Alibi.")] = None
    aix: Annotated[AIXSpec | None, Meta(description="Explain with AI Explainability 360.")] = None
    art: Annotated[
        ARTSpec | None, Meta(description="Find adversarial examples with the Adversarial Robustness Toolbox.")
    ] = None


class InferenceServiceSpec(Record, frozen=True, kw_only=True):
    """What a user asks for."""

    predictor: Annotated[
        PredictorSpec | None,
        Meta(
            description=(
                "Runs the model. Name exactly one model server (sklearn, xgboost, tensorflow, pytorch,"
                " triton, onnx, pmml or lightgbm), or give containers of your own. Everything a Pod's spec"
                " has can be set beside it."
            )
        ),
    ] = None
    transformer: Annotated[
        TransformerSpec | None,
        Meta(
            description=(
                "Changes requests before they reach the predictor, and its responses before the caller gets"
                " them. Give one container; everything a Pod's spec has can be set beside it."
            )
        ),
    ] = None
    explainer: Annotated[
        ExplainerSpec | None,
        Meta(
            description=(
                "Answers :explain requests by calling the predictor. Name exactly one of alibi, aix and art, or"
                " give a container; everything a Pod's spec has can be set beside a container."
            )
        ),
    ] = None


class TrafficTarget(Record, frozen=True, kw_only=True):
    """A share of a component's traffic and the revision that gets it; Knative's type."""

    configuration_name: Annotated[str, Meta(description="Knative Configuration that is the target.")] = ""
    latest_revision: Annotated[
        bool | None, Meta(description="Whether the target is always the newest ready revision.")
    ] = None
    percent: Annotated[int | None, Meta(description="Share of the traffic, 0 to 100.")] = None
    revision_name: Annotated[str, Meta(description="Knative Revision that is the target.")] = ""
    tag: Annotated[str, Meta(description="Name under which the target can be called on its own.")] = ""
    url: Annotated[str, Meta(description="Address of the target itself, when it has a tag.")] = ""


class Address(Record, frozen=True, kw_only=True):
    """Where something can be called."""

    url: Annotated[str, Meta(description="Address inside the cluster.")] = ""


class ComponentStatus(Record, frozen=True, kw_only=True):
    """What has become of one component."""

    latest_ready_revision: Annotated[str, Meta(description="Newest revision that is ready.")] = ""
    latest_created_revision: Annotated[str, Meta(description="Newest revision, ready or not.")] = ""
    previous_rolledout_revision: Annotated[
        str, Meta(description="Revision that had all traffic before the one that has it now.")
    ] = ""
    latest_rolledout_revision: Annotated[str, Meta(description="Newest revision that got all traffic.")] = ""
    traffic: Annotated[tuple[TrafficTarget, ...], Meta(description="How traffic is split between revisions.")] = ()
    url: Annotated[str, Meta(description="Address of the component outside the cluster.")] = ""
    address: Annotated[Address | None, Meta(description="Address of the component inside the cluster.")] = None


class InferenceServiceStatus(Record, frozen=True, kw_only=True):
    """What has become of it."""

    observed_generation: Annotated[int, Meta(description="Generation of the spec that this status speaks of.")] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(description="What is ready and what is not, and why; Ready sums them up."),
    ] = ()
    address: Annotated[Address | None, Meta(description="Where predictions are asked for inside the cluster.")] = None
    url: Annotated[str, Meta(description="Base address outside the cluster.")] = ""
    components: Annotated[
        dict[str, ComponentStatus],
        Meta(description="Status of each component, by its name."),
    ] = field(default_factory=dict)
    annotations: Annotated[dict[str, str] | None, Meta(description="What else is to be known, for other programs.")] = (
        None
    )
