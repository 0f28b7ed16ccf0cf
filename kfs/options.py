"""The command line's flags; each is also an environment variable (`--metrics-addr`: `KFS_METRICS_ADDR`).

Flags are a promise: none is ever renamed or given another meaning.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kfs.api.constants import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_PARALLELISM = 10
DEFAULT_CERT_DIR = "/tmp/k8s-webhook-server/serving-certs"
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True)
class Options:
    """What the manager was asked to do. `watch_namespaces` empty means all."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = DEFAULT_NAMESPACE
    metrics_addr: str = ":8080"
    health_probe_addr: str = ":8081"
    webhook_host: str = ""
    webhook_port: int = 9443
    webhook_url: str = ""
    cert_dir: Path = Path(DEFAULT_CERT_DIR)
    install: bool = False
    leader_elect: bool = False
    workers: int = 8
    config_rollout_parallelism: int = DEFAULT_PARALLELISM
    watch_namespaces: tuple[str, ...] = ()
    log_level: str = "info"
    log_format: str = "text"


def parse(arguments: Sequence[str], environment: Mapping[str, str], prog: str = "kfs manager") -> Options:
    """The options that flags, else environment variables, else defaults say.

    Exits with status 2 and a message that names the flag when a value makes no sense (argparse's way).
    """
    parser = _parser(prog)
    parser.set_defaults(**_from_environment(parser, environment))
    found = vars(parser.parse_args(arguments))
    found["watch_namespaces"] = tuple(found["watch_namespaces"])
    return Options(**found)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="KFServing's controller manager: InferenceServices, their webhooks and metrics.",
        epilog="Every flag is also an environment variable: --metrics-addr is KFS_METRICS_ADDR. A flag wins.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="kubeconfig of the API server; else KUBECONFIG, else the Pod's ServiceAccount, else ~/.kube/config",
    )
    add("--context", default="", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    add(
        "--namespace",
        default=DEFAULT_NAMESPACE,
        metavar="NAME",
        help="where our ConfigMap, Service and Lease are (default: POD_NAMESPACE, else %(default)s)",
    )
    add(
        "--metrics-addr",
        default=":8080",
        metavar="[HOST]:PORT",
        help="where /metrics is served; 0 disables it (default: %(default)s)",
    )
    add(
        "--health-probe-addr",
        default=":8081",
        metavar="[HOST]:PORT",
        help="where /healthz and /readyz are served; 0 disables them (default: %(default)s)",
    )
    add(
        "--webhook-port",
        type=_port,
        default=9443,
        metavar="PORT",
        help="port of the webhook server (default: %(default)s)",
    )
    add(
        "--webhook-host",
        default="",
        metavar="HOST",
        help="address the webhook server binds to (default: all)",
    )
    add(
        "--cert-dir",
        type=Path,
        default=Path(DEFAULT_CERT_DIR),
        metavar="DIR",
        help="where tls.crt and tls.key are; when both are missing they and a CA are made there (default: %(default)s)",
    )
    add(
        "--install",
        type=_flag,
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        help="before starting, create or update the CRDs and webhook configurations, and the ConfigMap if absent",
    )
    add(
        "--webhook-url",
        type=_base_url,
        default="",
        metavar="URL",
        help="with --install: base URL at which the API server calls the webhooks, for a manager outside the cluster",
    )
    add(
        "--leader-elect",
        type=_flag,
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        help="reconcile only while holding the Lease; webhooks are served all the time",
    )
    add(
        "--workers",
        type=_positive,
        default=8,
        metavar="N",
        help="objects of one kind reconciled at once (default: %(default)s)",
    )
    add(
        "--config-rollout-parallelism",
        type=_positive,
        default=DEFAULT_PARALLELISM,
        metavar="N",
        help="when inferenceservice-config changes, InferenceServices that may be rolling out at once because of it "
        "(default: %(default)s)",
    )
    add(
        "--watch-namespace",
        dest="watch_namespaces",
        action="append",
        default=[],
        metavar="NAME",
        help="watch only this namespace; repeatable (default: all)",
    )
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="least severe level that is logged (default: %(default)s)",
    )
    add(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="one line of text, or one JSON object, a message (default: %(default)s)",
    )
    return parser


def _from_environment(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if environment.get("POD_NAMESPACE"):
        found["namespace"] = environment["POD_NAMESPACE"]
    for action in parser._actions:
        flag = action.option_strings[-1]
        variable = "KFS_" + flag.removeprefix("--").replace("-", "_").upper()
        text = environment.get(variable)
        if text is None or action.dest == "help":
            continue
        values = (
            [part.strip() for part in text.split(",") if part.strip()] if isinstance(action.default, list) else [text]
        )
        try:
            parsed = [action.type(value) if callable(action.type) else value for value in values]
        except (argparse.ArgumentTypeError, ValueError) as error:
            parser.error(f"environment variable {variable}: {error}")
        if action.choices is not None and (bad := [v for v in parsed if v not in action.choices]):
            parser.error(f"environment variable {variable}: {bad[0]!r} is none of {', '.join(action.choices)}")
        found[action.dest] = parsed if isinstance(action.default, list) else parsed[0]
    return found


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 (any free one) to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _base_url(text: str) -> str:
    url = urlsplit(text)
    if text and (url.scheme != "https" or not url.hostname or url.query or url.fragment):
        raise argparse.ArgumentTypeError(f"{text!r} is no https URL such as https://192.0.2.1:9443")
    return text.rstrip("/")
