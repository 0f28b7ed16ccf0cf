"""What containers get from each sort of Secret."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.credentials import Access, access
from tests.samples import config

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

PREFIX = "serving.kubeflow.org/s3-"
S3 = {"awsAccessKeyID": "id", "awsSecretAccessKey": "key"}
GCS = {"gcloud-application-credentials.json": "{}"}
AZURE = {"AZ_CLIENT_SECRET": "s"}


def secret(data: Any, name: str = "s", **annotations: str) -> Obj:
    """A Secret as the API server stores it; annotations by what follows `serving.kubeflow.org/s3-`."""
    encoded = {k: base64.b64encode(v if isinstance(v, bytes) else v.encode()).decode() for k, v in data.items()}
    return {"metadata": {"name": name, "annotations": {PREFIX + k: v for k, v in annotations.items()}}, "data": encoded}


def given(*secrets: Obj, **settings: Any) -> Access:
    return access(secrets, config(credentials=settings).credentials)


def ref(variable: str, key: str, name: str = "s") -> Obj:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def values(found: Access) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in found.env if "value" in variable}


def test_s3_is_referred_to_by_key() -> None:
    expected = [ref("AWS_ACCESS_KEY_ID", "awsAccessKeyID"), ref("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey")]
    assert given(secret(S3)) == Access(env=expected)


def test_s3_keys_can_be_configured() -> None:
    settings = {"s3AccessKeyIDName": "AK", "s3SecretAccessKeyName": "SK"}
    expected = [ref("AWS_ACCESS_KEY_ID", "AK"), ref("AWS_SECRET_ACCESS_KEY", "SK")]
    assert given(secret({"AK": "i", "SK": "k"}), s3=settings).env == expected
    assert given(secret(S3), s3=settings) == Access()


@pytest.mark.parametrize(
    ("annotations", "settings", "expected"),
    [
        ({"endpoint": "minio:9000"}, {}, {"S3_ENDPOINT": "minio:9000", "AWS_ENDPOINT_URL": "https://minio:9000"}),
        (
            {"endpoint": "minio:9000", "usehttps": "0"},
            {"s3Endpoint": "corp"},
            {"S3_USE_HTTPS": "0", "S3_ENDPOINT": "minio:9000", "AWS_ENDPOINT_URL": "http://minio:9000"},
        ),
        (
            {"endpoint": "m", "usehttps": "1"},
            {"s3UseHttps": "0"},
            {"S3_USE_HTTPS": "1", "S3_ENDPOINT": "m", "AWS_ENDPOINT_URL": "https://m"},
        ),
        ({}, {"s3Endpoint": "corp"}, {"S3_ENDPOINT": "corp", "AWS_ENDPOINT_URL": "https://corp"}),
        (
            {},
            {"s3Endpoint": "corp", "s3UseHttps": "0"},
            {"S3_USE_HTTPS": "0", "S3_ENDPOINT": "corp", "AWS_ENDPOINT_URL": "http://corp"},
        ),
        (
            {},
            {"s3Endpoint": "corp", "s3UseHttps": "1"},
            {"S3_ENDPOINT": "corp", "AWS_ENDPOINT_URL": "https://corp"},
        ),
        ({"usehttps": "0"}, {"s3UseHttps": "0"}, {}),
        (
            {"region": "eu-west-1", "verifyssl": "0", "usevirtualbucket": "1"},
            {},
            {"AWS_REGION": "eu-west-1", "S3_VERIFY_SSL": "0", "S3_USER_VIRTUAL_BUCKET": "1"},
        ),
    ],
)
def test_s3_settings_come_from_the_secret_then_from_the_configuration(
    annotations: Any, settings: Any, expected: Any
) -> None:
    found = values(given(secret(S3, **annotations), s3=settings))
    assert list(found.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("settings", "file"),
    [({}, "gcloud-application-credentials.json"), ({"gcs": {"gcsCredentialFileName": "f.json"}}, "f.json")],
)
def test_google_cloud_is_a_mounted_file(settings: Any, file: str) -> None:
    assert given(secret({file: "{}"}), **settings) == Access(
        env=[{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"/var/secrets/{file}"}],
        mounts=[{"name": "user-gcp-sa", "mountPath": "/var/secrets/", "readOnly": True}],
        volumes=[{"name": "user-gcp-sa", "secret": {"secretName": "s"}}],
    )


def test_of_two_google_cloud_secrets_the_first_is_used() -> None:
    assert given(secret(GCS, "a"), secret(GCS, "b")) == given(secret(GCS, "a"))


def test_azure_is_referred_to_by_key() -> None:
    names = ("AZ_SUBSCRIPTION_ID", "AZ_TENANT_ID", "AZ_CLIENT_ID", "AZ_CLIENT_SECRET")
    assert given(secret(AZURE)) == Access(env=[ref(name, name) for name in names])


def test_https_headers_go_under_their_host() -> None:
    found = given(secret({"https-host": "example.com", "headers": '{"a": "b"}'}))
    assert found == Access(env=[{"name": "example.com-headers", "value": '{"a": "b"}'}])


@pytest.mark.parametrize("data", [{"https-host": "h"}, {"headers": "{}"}, {"token": "t"}, {}])
def test_what_is_of_no_sort_is_passed_over(data: Any) -> None:
    assert given(secret(data)) == Access()


@pytest.mark.parametrize(
    "data", [None, [], "x", {"https-host": 7, "headers": "?"}, {"https-host": None, "headers": {}}]
)
def test_secrets_of_any_shape_raise_nothing(data: Any) -> None:
    found = given({"metadata": {"name": "s"}, "data": data})
    assert values(found) in ({}, {"-headers": ""})


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert values(given(secret({"https-host": "h", "headers": b"\xff"}))) == {"h-headers": "\ufffd"}


def test_the_sort_is_the_first_that_fits_and_order_is_the_accounts() -> None:
    everything = {**AZURE, **GCS, **S3, "https-host": "h", "headers": "x"}
    assert given(secret(everything)) == given(secret(S3))
    assert given(secret({**AZURE, **GCS})) == given(secret(GCS))
    found = given(secret(AZURE, "z"), secret(S3, "a"))
    assert [v["name"] for v in found.env][-2:] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]


def test_no_value_is_shown_by_accident() -> None:
    assert "marked" not in repr(given(secret({"https-host": "h", "headers": "marked"})))
