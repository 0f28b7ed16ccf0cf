"""Google Kubernetes Engine: pods with a GPU go to nodes with the accelerator that an annotation names.

Upstream: kserve/kserve v0.5.1 `pkg/webhook/admission/pod/accelerator_injector.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kfs.api.constants import GKE_ACCELERATOR_ANNOTATION, GPU_RESOURCE
from kfs.manager.objects.tree import annotations as annotations_of
from kfs.manager.objects.tree import mapping
from kfs.webhook.containers import containers

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj
    from kfs.webhook.inputs import Inputs

_NODE_LABEL: Final = "cloud.google.com/gke-accelerator"


def select_accelerator(pod: Obj, inputs: Inputs) -> None:
    """Set the node selector of a pod that has a GPU and names an accelerator."""
    accelerator = annotations_of(pod).get(GKE_ACCELERATOR_ANNOTATION)
    has_gpu = any(GPU_RESOURCE in mapping(c, "resources", "limits") for c in containers(pod))
    if accelerator is not None and has_gpu:
        pod["spec"]["nodeSelector"] = {**mapping(pod, "spec", "nodeSelector"), _NODE_LABEL: accelerator}
