"""The wiring: options in, a manager with everything registered out.

The order is that of the original's main (kserve/kserve v0.5.1 `cmd/manager/main.go`): connection, manager with
shared cache and event broadcaster, controllers, webhook server, start.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kfs.api.constants import INFERENCE_SERVICE, KNATIVE_SERVICE, TRAINED_MODEL
from kfs.api.conversion import convert
from kfs.controllers.config_rollout import ConfigRollout
from kfs.controllers.inferenceservice import add_inference_services
from kfs.controllers.trainedmodel import TrainedModels, add_trained_models
from kfs.install import webhooks
from kfs.install.installer import InstallOptions, install
from kfs.install.migration import StorageMigration
from kfs.lookups import ConfigSource, count_problems
from kfs.manager.client import HttpTransport, LiveClient
from kfs.manager.clock import Clock, SystemClock
from kfs.manager.http_server import Probes, metrics_server, probe_server
from kfs.manager.leader import LeaderElector, new_identity
from kfs.manager.manager import NEVER_CACHED, Manager, ManagerOptions
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import CONFIG_MAP, ObjectKey
from kfs.manager.runnables import Phase
from kfs.manager.webhook.certificates import ensure_certificates
from kfs.manager.webhook.server import WebhookServer
from kfs.webhook import trainedmodels
from kfs.webhook.inferenceservices import defaulter, v1alpha2_defaulter, v1alpha2_validator, validator
from kfs.webhook.pods import pod_mutator

if TYPE_CHECKING:
    from kfs.manager.login import Connection
    from kfs.options import Options

log = logging.getLogger(__name__)

# The Lease that KFServing's own manager would take, were it to elect a leader.
LEASE_NAME = "kfserving-controller-manager-leader-lock"
EVENT_SOURCE = "v1beta1Controllers"


async def run(options: Options, connection: Connection) -> None:
    """Run the manager until cancelled.

    Raises:
        ConfigError: an option or a certificate cannot be used.
        KfsError: what made the manager give up.
    """
    metrics, clock = Metrics(), SystemClock()
    transport = HttpTransport(connection, metrics)
    try:
        certificate = await asyncio.to_thread(ensure_certificates, options.cert_dir, _hosts(options), clock.now())
        if options.install:
            await install(
                LiveClient(transport),
                InstallOptions(options.namespace, options.webhook_url or None, certificate.ca_bundle),
            )
        await build(options, transport, metrics, clock).run()
    finally:
        await transport.close()


def build(options: Options, transport: HttpTransport, metrics: Metrics, clock: Clock) -> Manager:
    """A manager with servers, controllers and webhooks, not started."""
    manager = Manager(
        transport,
        ManagerOptions(options.watch_namespaces, uncached=NEVER_CACHED | {CONFIG_MAP}),
        metrics=metrics,
        clock=clock,
        elector=_elector(options, LiveClient(transport), clock, metrics) if options.leader_elect else None,
    )
    configs = ConfigSource(manager.cache, options.namespace)
    server = _webhook_server(options, configs, manager.live, metrics)
    manager.add(server, Phase.WEBHOOKS)
    manager.add(metrics_server(options.metrics_addr, metrics), Phase.HTTP)
    count_problems(configs, metrics)
    rollout = ConfigRollout(manager.cache.informer(KNATIVE_SERVICE), options.config_rollout_parallelism)
    manager.add(probe_server(options.health_probe_addr, _probes(manager, configs, rollout, server)), Phase.HTTP)
    add_inference_services(manager, configs, rollout, manager.events.recorder(EVENT_SOURCE), options.workers)
    models = TrainedModels(
        client=manager.client,
        live=manager.live,
        models=manager.cache.informer(TRAINED_MODEL),
        configs=configs,
        recorder=manager.events.recorder(EVENT_SOURCE),
        clock=clock,
    )
    add_trained_models(manager, models, options.workers)
    if options.install:
        manager.add(StorageMigration(manager.live, INFERENCE_SERVICE), Phase.LEADER)
    return manager


def _webhook_server(options: Options, configs: ConfigSource, live: LiveClient, metrics: Metrics) -> WebhookServer:
    server = WebhookServer(options.webhook_host, options.webhook_port, options.cert_dir, metrics)
    server.register(webhooks.MUTATE_PODS_PATH, pod_mutator(configs.current, live))
    server.register(webhooks.MUTATE_V1ALPHA2_PATH, v1alpha2_defaulter(configs.current))
    server.register(webhooks.VALIDATE_V1ALPHA2_PATH, v1alpha2_validator())
    server.register(webhooks.MUTATE_V1BETA1_PATH, defaulter(configs.current))
    server.register(webhooks.VALIDATE_V1BETA1_PATH, validator())
    server.register(webhooks.VALIDATE_MODELS_PATH, trainedmodels.validator())
    server.register_conversion(webhooks.CONVERSION_PATH, convert)
    return server


def _probes(manager: Manager, configs: ConfigSource, rollout: ConfigRollout, server: WebhookServer) -> Probes:
    async def config() -> str | None:
        return configs.loaded()

    def unsynced() -> str:
        problems = manager.cache.problems()
        return "; ".join(f"{kind}: {why}" for kind, why in problems.items()) or "synced"

    probes = Probes()
    probes.add_ready("webhook", server.check)
    probes.add_ready("config", config)
    probes.add_detail("cache", unsynced)
    probes.add_detail("configuration", lambda: configs.problem() or "good")
    probes.add_detail("configuration-rollout", lambda: f"{rollout.waiting} InferenceServices wait for their turn")
    return probes


def _elector(options: Options, live: LiveClient, clock: Clock, metrics: Metrics) -> LeaderElector:
    lease = ObjectKey(options.namespace, LEASE_NAME)
    return LeaderElector(live, lease, identity=new_identity(), clock=clock, metrics=metrics)


def _hosts(options: Options) -> list[str]:
    """Every name under which the API server, or a probe on this machine, may call the webhooks."""
    service = f"{webhooks.SERVICE_NAME}.{options.namespace}"
    hosts = [
        webhooks.SERVICE_NAME,
        service,
        f"{service}.svc",
        f"{service}.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ]
    if url_host := urlsplit(options.webhook_url).hostname:
        hosts.append(url_host)
    return list(dict.fromkeys(hosts))
