"""The contract of a reconciler.

Reconciling is level-based: a key says which object to look at, never what happened to it. Whoever
reconciles reads the present state, writes what is missing, and is called again when anything changes.

Upstream: kubernetes-sigs/controller-runtime `pkg/reconcile/reconcile.go`; kube-rs/kube
`kube-runtime/src/controller/mod.rs` (why the reason stays hidden from the reconciler).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kfs.manager.objects.kinds import ObjectKey


@dataclass(frozen=True, slots=True)
class Result:
    """When to look again, in seconds; None: when something changes."""

    requeue_after_s: float | None = None


Reconcile = Callable[[ObjectKey], Awaitable[Result | None]]
"""A reconciler: one object's key in, when to look again out (None is `Result()`).

Raising retries with back-off; raising `TerminalError` does not retry.
"""
