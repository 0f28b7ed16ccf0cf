"""Flags, their environment variables, and what is said about values that make no sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kfs.options import Options, parse


def test_without_anything_the_defaults_are_the_original_s() -> None:
    options = parse([], {})
    assert options == Options()
    assert (options.metrics_addr, options.webhook_port, options.namespace) == (":8080", 9443, "kfserving-system")


FLAGS = {
    "--kubeconfig=/k": ("kubeconfig", "/k"),
    "--context=c": ("context", "c"),
    "--namespace=n": ("namespace", "n"),
    "--metrics-addr=0": ("metrics_addr", "0"),
    "--health-probe-addr=127.0.0.1:1": ("health_probe_addr", "127.0.0.1:1"),
    "--webhook-port=1": ("webhook_port", 1),
    "--webhook-host=::1": ("webhook_host", "::1"),
    "--webhook-url=https://h:1/": ("webhook_url", "https://h:1"),
    "--cert-dir=/c": ("cert_dir", Path("/c")),
    "--install=true": ("install", True),
    "--leader-elect=true": ("leader_elect", True),
    "--workers=3": ("workers", 3),
    "--config-rollout-parallelism=5": ("config_rollout_parallelism", 5),
    "--watch-namespace=a": ("watch_namespaces", ("a",)),
    "--log-level=debug": ("log_level", "debug"),
    "--log-format=json": ("log_format", "json"),
}


@pytest.mark.parametrize(("flag", "field", "value"), [(f, *v) for f, v in FLAGS.items()], ids=FLAGS)
def test_every_flag_is_an_environment_variable_too(flag: str, field: str, value: object) -> None:
    name, _, text = flag.partition("=")
    variable = "KFS_" + name.removeprefix("--").replace("-", "_").upper()
    assert getattr(parse([flag], {}), field) == value
    assert getattr(parse([], {variable: text}), field) == value


def test_a_flag_wins_over_its_variable() -> None:
    assert parse(["--workers=2"], {"KFS_WORKERS": "9"}).workers == 2
    assert parse(["--install=false"], {"KFS_INSTALL": "true"}).install is False


def test_switches_need_no_value() -> None:
    options = parse(["--install", "--leader-elect"], {})
    assert (options.install, options.leader_elect) == (True, True)


def test_namespaces_add_up() -> None:
    assert parse(["--watch-namespace", "a", "--watch-namespace", "b"], {}).watch_namespaces == ("a", "b")
    assert parse([], {"KFS_WATCH_NAMESPACE": "a, b"}).watch_namespaces == ("a", "b")


def test_the_pod_s_namespace_is_the_default() -> None:
    assert parse([], {"POD_NAMESPACE": "mine"}).namespace == "mine"
    assert parse([], {"POD_NAMESPACE": "mine", "KFS_NAMESPACE": "other"}).namespace == "other"


BAD = {
    "--webhook-port=http": "no port",
    "--webhook-port=70000": "no port",
    "--workers=0": "at least 1",
    "--install=perhaps": "neither true nor false",
    "--webhook-url=http://plain": "no https URL",
    "--log-format=xml": "xml",
    "--no-such-flag": "no-such-flag",
}


@pytest.mark.parametrize(("flag", "says"), BAD.items(), ids=BAD)
def test_bad_values_are_refused_by_name(flag: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([flag], {})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert flag.partition("=")[0] in said


@pytest.mark.parametrize(
    ("variable", "text"), [("KFS_WEBHOOK_PORT", "x"), ("KFS_LOG_LEVEL", "loud"), ("KFS_WORKERS", "")]
)
def test_bad_variables_are_refused_by_name(variable: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([], {variable: text})
    assert variable in capsys.readouterr().err


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    text = capsys.readouterr().out
    for flag in FLAGS:
        name = flag.partition("=")[0]
        assert re.search(rf"{name}\b[^\n]*\n? +\w+", text), name
