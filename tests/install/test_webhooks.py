"""The webhook configurations: names and paths that clusters know, and policies that do no harm."""

from __future__ import annotations

import base64

from kfs.install.webhooks import WEBHOOKS, InstallOptions, conversion, webhook_configurations

PEM = b"-----BEGIN CERTIFICATE-----\n"


def test_names_and_paths_are_the_originals() -> None:
    assert {(w.name, w.path) for w in WEBHOOKS} == {
        (
            "inferenceservice.kfserving-webhook-server.defaulter",
            "/mutate-serving-kubeflow-org-v1alpha2-inferenceservice",
        ),
        (
            "inferenceservice.kfserving-webhook-server.validator",
            "/validate-serving-kubeflow-org-v1alpha2-inferenceservice",
        ),
        (
            "inferenceservice.kfserving-webhook-server.v1beta1.defaulter",
            "/mutate-serving-kubeflow-org-v1beta1-inferenceservice",
        ),
        (
            "inferenceservice.kfserving-webhook-server.v1beta1.validator",
            "/validate-serving-kubeflow-org-v1beta1-inferenceservice",
        ),
        ("inferenceservice.kfserving-webhook-server.pod-mutator", "/mutate-pods"),
        (
            "trainedmodel.kfserving-webhook-server.validator",
            "/validate-serving-kubeflow-org-v1alpha1-trainedmodel",
        ),
    }
    made = [(kind.kind, obj["metadata"]["name"]) for kind, obj in webhook_configurations(InstallOptions())]
    assert made == [
        ("MutatingWebhookConfiguration", "inferenceservice.serving.kubeflow.org"),
        ("ValidatingWebhookConfiguration", "inferenceservice.serving.kubeflow.org"),
        ("ValidatingWebhookConfiguration", "trainedmodel.serving.kubeflow.org"),
    ]


def test_a_service_or_an_url_and_never_both() -> None:
    service = conversion(InstallOptions("ns", ca_bundle=PEM))["webhook"]["clientConfig"]
    assert service["service"] == {
        "name": "kfserving-webhook-server-service",
        "namespace": "ns",
        "path": "/convert",
        "port": 443,
    }
    assert service["url"] is None
    assert base64.b64decode(service["caBundle"]) == PEM

    url = conversion(InstallOptions(webhook_url="https://192.0.2.1:9443/"))["webhook"]["clientConfig"]
    assert url == {"url": "https://192.0.2.1:9443/convert", "service": None}


def test_pods_of_others_are_never_asked_about() -> None:
    [pods] = [w.entry(InstallOptions()) for w in WEBHOOKS if w.resource == "pods"]
    assert pods["objectSelector"]["matchExpressions"] == [
        {"key": "serving.kubeflow.org/inferenceservice", "operator": "Exists"}
    ]
    assert pods["namespaceSelector"]["matchExpressions"] == [{"key": "control-plane", "operator": "DoesNotExist"}]
    assert [rule["operations"] for rule in pods["rules"]] == [["CREATE"]]


def test_each_webhook_sees_its_own_version_and_has_no_side_effects() -> None:
    for webhook in WEBHOOKS:
        entry = webhook.entry(InstallOptions())
        assert entry["matchPolicy"] == "Exact"
        assert entry["sideEffects"] == "None"
        assert entry["admissionReviewVersions"] == ["v1", "v1beta1"]
        assert webhook.reason
