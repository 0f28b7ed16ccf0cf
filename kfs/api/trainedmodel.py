"""TrainedModel v1alpha1: our fields, as records. The descriptions are what `kubectl explain` shows.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1alpha1/trained_model.go`, `trained_model_status.go`.
"""

from typing import Annotated

from msgspec import Meta

from kfs.api.records import QUANTITY, kubernetes
from kfs.api.v1beta1 import Address, Record
from kfs.manager.objects.conditions import Condition


class ModelSpec(Record, frozen=True, kw_only=True):
    """A model to load into a running server."""

    storage_uri: Annotated[
        str, Meta(description="Where the trained model is: gs://, s3://, pvc://, http:// or https://.")
    ]
    framework: Annotated[
        str, Meta(description="What the model was made with, such as sklearn; the server must support it.")
    ]
    # A number is a quantity too, and says the same as its text.
    memory: Annotated[
        str | int | float,
        kubernetes(QUANTITY, "Most memory that the model needs; cannot be changed afterwards."),
    ]


class TrainedModelSpec(Record, frozen=True, kw_only=True):
    """What a user asks for."""

    inference_service: Annotated[
        str, Meta(description="InferenceService of the same namespace whose server loads the model.")
    ]
    model: Annotated[ModelSpec, Meta(description="The model to load.")]


class TrainedModelStatus(Record, frozen=True, kw_only=True):
    """What has become of it."""

    observed_generation: Annotated[int, Meta(description="Generation of the spec that this status speaks of.")] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(description="What is ready and what is not, and why; Ready sums them up."),
    ] = ()
    url: Annotated[str, Meta(description="Address outside the cluster at which the model predicts.")] = ""
    address: Annotated[Address | None, Meta(description="Address inside the cluster at which the model predicts.")] = (
        None
    )
    annotations: Annotated[dict[str, str] | None, Meta(description="What else is to be known, for other programs.")] = (
        None
    )
