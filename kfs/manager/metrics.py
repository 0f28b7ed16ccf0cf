"""Every metric of the framework, under controller-runtime's and client-go's names and labels.

The only module that knows prometheus_client. A `Metrics` owns its registry, so that two managers
in one process never meet.

Upstream: kubernetes-sigs/controller-runtime `pkg/internal/controller/metrics`, `pkg/metrics`,
`pkg/webhook/internal/metrics`; kubernetes/component-base `metrics/prometheus/restclient`.
"""

from __future__ import annotations

import math

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

_RECONCILE_BUCKETS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60),
)
_QUEUE_BUCKETS_S = tuple(10.0**exponent for exponent in range(-8, 4))


class Metrics:
    """The collectors, ready to count; `text()` is what `/metrics` answers."""

    def __init__(self) -> None:
        # prometheus_client keeps this switch for the whole process: `_created` series double the output and no
        # dashboard of controller-runtime's knows them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def seconds(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=(*buckets, math.inf), registry=registry)

        self.reconcile_total = counter(
            "controller_runtime_reconcile_total", "Reconciliations by result", "controller", "result"
        )
        self.reconcile_errors = counter(
            "controller_runtime_reconcile_errors_total", "Reconciliations that raised", "controller"
        )
        self.terminal_errors = counter(
            "controller_runtime_terminal_reconcile_errors_total",
            "Reconciliations that raised an error no retry can help",
            "controller",
        )
        self.reconcile_panics = counter(
            "controller_runtime_reconcile_panics_total",
            "Reconciliations that raised an error which is not kfs's own",
            "controller",
        )
        self.reconcile_time = seconds(
            "controller_runtime_reconcile_time_seconds",
            "Length of a reconciliation",
            _RECONCILE_BUCKETS_S,
            "controller",
        )
        self.max_concurrent_reconciles = gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers of the controller", "controller"
        )
        self.active_workers = gauge(
            "controller_runtime_active_workers", "Workers that are reconciling now", "controller"
        )

        self.queue_depth = gauge("workqueue_depth", "Keys waiting", "name", "controller")
        self.queue_adds = counter("workqueue_adds_total", "Keys added", "name", "controller")
        self.queue_retries = counter(
            "workqueue_retries_total", "Keys added again after a failure", "name", "controller"
        )
        self.queue_latency = seconds(
            "workqueue_queue_duration_seconds",
            "Wait of a key in the queue",
            _QUEUE_BUCKETS_S,
            "name",
            "controller",
        )
        self.queue_work = seconds(
            "workqueue_work_duration_seconds", "Work on a key", _QUEUE_BUCKETS_S, "name", "controller"
        )
        self.queue_unfinished = gauge(
            "workqueue_unfinished_work_seconds", "Summed age of the work in progress", "name", "controller"
        )
        self.queue_longest = gauge(
            "workqueue_longest_running_processor_seconds",
            "Age of the oldest work in progress",
            "name",
            "controller",
        )

        self.rest_requests = counter(
            "rest_client_requests_total", "Requests to the API server", "code", "method", "host"
        )
        self.watch_age = gauge(
            "kfs_watch_last_activity_timestamp_seconds",
            "When a watch last heard from the API server, as Unix time",
            "resource",
            "namespace",
        )

        self.webhook_requests = counter(
            "controller_runtime_webhook_requests_total",
            "Admission requests by HTTP status",
            "webhook",
            "code",
        )
        self.webhook_latency = seconds(
            "controller_runtime_webhook_latency_seconds",
            "Length of an admission request",
            (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            "webhook",
        )
        self.webhook_in_flight = gauge(
            "controller_runtime_webhook_requests_in_flight", "Admission requests being served", "webhook"
        )
        self.webhook_panics = counter(
            "controller_runtime_webhook_panics_total", "Admission handlers that raised", "webhook"
        )
        self.certificate_reads = counter("certwatcher_read_certificate_total", "Reads of the serving certificate")
        self.certificate_errors = counter(
            "certwatcher_read_certificate_errors_total", "Failed reads of the serving certificate"
        )

        self.leader = gauge("leader_election_master_status", "1 while this process leads", "name")
        self.config_problems = gauge(
            "kfs_config_problems", "1 for each key of the configuration that makes no sense", "key"
        )
        self.events = counter("kfs_events_total", "Kubernetes Events by what became of them", "outcome")

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
