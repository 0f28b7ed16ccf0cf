"""What a container needs in order to use the credentials in a ServiceAccount's Secrets.

Each Secret is of one sort, told by the keys that it holds: S3, Google Cloud, Azure or HTTPS, looked for in
this order. Anything else (tokens, registry passwords) is passed over.

Containers refer to Secrets by name and key, so that values stay where they are; only the headers of an HTTPS
Secret are copied, since the variable that carries them is named after the Secret's host.

Upstream: kserve/kserve v0.5.1 `pkg/credentials/service_account_credentials.go` and
`pkg/credentials/{s3,gcs,azure,https}/*_secret.go`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kfs.api.constants import GROUP
from kfs.manager.objects.tree import annotations as annotations_of
from kfs.manager.objects.tree import mapping, name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfs.api.config import S3, Credentials
    from kfs.manager.objects.tree import Frozen, Obj

_S3_ID_KEY: Final = "awsAccessKeyID"
_S3_SECRET_KEY: Final = "awsSecretAccessKey"
_S3_ENDPOINT: Final = f"{GROUP}/s3-endpoint"
_S3_HTTPS: Final = f"{GROUP}/s3-usehttps"
_S3_SETTINGS: Final = {
    f"{GROUP}/s3-region": "AWS_REGION",
    f"{GROUP}/s3-verifyssl": "S3_VERIFY_SSL",
    f"{GROUP}/s3-usevirtualbucket": "S3_USER_VIRTUAL_BUCKET",
}
_GCS_FILE: Final = "gcloud-application-credentials.json"
_GCS_VOLUME: Final = "user-gcp-sa"
_GCS_MOUNT_PATH: Final = "/var/secrets/"
_AZURE_SECRET: Final = "AZ_CLIENT_SECRET"
_AZURE: Final = ("AZ_SUBSCRIPTION_ID", "AZ_TENANT_ID", "AZ_CLIENT_ID", _AZURE_SECRET)
_HTTPS_HOST: Final = "https-host"
_HTTPS_HEADERS: Final = "headers"


@dataclass(frozen=True)
class Access:
    """Variables and volume mounts for a container, and the volumes that its pod must have for them."""

    env: list[Obj] = field(default_factory=list, repr=False)
    mounts: list[Obj] = field(default_factory=list)
    volumes: list[Obj] = field(default_factory=list)


def access(secrets: Iterable[Frozen], settings: Credentials) -> Access:
    """How a container gets at these Secrets, in their order.

    Differs: of several Google Cloud Secrets the first is used. The original mounts each at the same path, and
    the API server refuses the pod.
    """
    found = Access()
    s3_key = settings.s3.secret_access_key_name or _S3_SECRET_KEY
    gcs_file = settings.gcs.credential_file_name or _GCS_FILE
    for secret in secrets:
        data = mapping(secret, "data")
        if s3_key in data:
            found.env.extend(_s3(secret, settings.s3, s3_key))
        elif gcs_file in data:
            if not found.volumes:
                found.env.append({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": _GCS_MOUNT_PATH + gcs_file})
                found.mounts.append({"name": _GCS_VOLUME, "mountPath": _GCS_MOUNT_PATH, "readOnly": True})
                found.volumes.append({"name": _GCS_VOLUME, "secret": {"secretName": name(secret)}})
        elif _AZURE_SECRET in data:
            found.env.extend(_from_secret(key, secret, key) for key in _AZURE)
        elif _HTTPS_HOST in data and _HTTPS_HEADERS in data:
            host, headers = _text(data[_HTTPS_HOST]), _text(data[_HTTPS_HEADERS])
            found.env.append({"name": f"{host}-headers", "value": headers})
    return found


def _s3(secret: Frozen, settings: S3, secret_key: str) -> list[Obj]:
    said = annotations_of(secret)
    env = [
        _from_secret("AWS_ACCESS_KEY_ID", secret, settings.access_key_id_name or _S3_ID_KEY),
        _from_secret("AWS_SECRET_ACCESS_KEY", secret, secret_key),
    ]
    endpoint, use_https = said.get(_S3_ENDPOINT), said.get(_S3_HTTPS)
    if endpoint is None:
        # Of the configuration only "0" says anything: the rest is the default, which no variable need repeat.
        endpoint, use_https = settings.endpoint or None, "0" if settings.use_https == "0" else None
    if endpoint is not None:
        if use_https is not None:
            env.append({"name": "S3_USE_HTTPS", "value": use_https})
        scheme = "http" if use_https == "0" else "https"
        env.append({"name": "S3_ENDPOINT", "value": endpoint})
        env.append({"name": "AWS_ENDPOINT_URL", "value": f"{scheme}://{endpoint}"})
    env += [{"name": variable, "value": said[key]} for key, variable in _S3_SETTINGS.items() if key in said]
    return env


def _from_secret(variable: str, secret: Frozen, key: str) -> Obj:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name(secret), "key": key}}}


def _text(value: Any) -> str:
    """A value of a Secret's `data`, decoded; empty when it is not base64, which no API server stores."""
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except (TypeError, ValueError):
        return ""
