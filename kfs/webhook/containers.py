"""Edits of a pod's lists: containers, volumes and what hangs on a container.

They take trees whose shape `kfs.webhook.pods` has checked: where there is a list, its items are mappings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.manager.objects.tree import clone, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfs.api.credentials import Access
    from kfs.manager.objects.tree import Frozen, Obj


def containers(pod: Frozen) -> Sequence[Any]:
    """The pod's containers, those that run before them left out."""
    return sequence(pod, "spec", "containers")


def named(items: Sequence[Any], name: str) -> Obj | None:
    """The first item of that name, or None."""
    return next((item for item in items if item.get("name") == name), None)


def append(tree: Obj, field: str, *items: Obj) -> None:
    """Put copies of the items at the end of the list `field`; no list is made for none."""
    if items:
        tree[field] = [*(tree.get(field) or ()), *map(clone, items)]


def append_volumes(pod: Obj, *volumes: Obj) -> None:
    """Put copies of the volumes at the end of the pod's, save those of a name that is there already."""
    spec = pod["spec"]
    append(spec, "volumes", *(v for v in volumes if named(sequence(spec, "volumes"), v["name"]) is None))


def grant(access: Access, container: Obj, pod: Obj) -> None:
    """Give the container what it needs to use its credentials, and the pod the volumes."""
    append(container, "env", *access.env)
    append(container, "volumeMounts", *access.mounts)
    append_volumes(pod, *access.volumes)


def copy_security_context(source: Frozen, target: Obj) -> None:
    """Let `target` run as `source` does: what a cluster's policies ask of one they ask of the other."""
    if "securityContext" in source:
        target["securityContext"] = clone(mapping(source, "securityContext"))
