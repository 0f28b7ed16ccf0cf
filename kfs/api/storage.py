"""Where models come from: which addresses are taken.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/component.go`.
"""

from __future__ import annotations

import re
from typing import Final

from kfs.manager.errors import ValidationError

STORAGE_SCHEMES: Final = ("gs://", "s3://", "pvc://", "file://", "https://", "http://")

_AZURE_BLOB = "blob.core.windows.net"
_AZURE_BLOB_URI = re.compile(r"https://(.+?).blob.core.windows.net/(.+)")
_HAS_SCHEME = re.compile(r"\w+?://", re.ASCII)
_ALMOST_A_SCHEME = re.compile(r"\w*:/", re.ASCII)


def check_storage_uri(uri: str | None, at: str) -> None:
    """Refuse an address of a kind that nothing can fetch. What has no scheme is a local path.

    Raises:
        ValidationError: it is such an address; the message is the original's.
    """
    if not uri or not _HAS_SCHEME.search(uri):
        return
    if _AZURE_BLOB in uri:
        if _AZURE_BLOB_URI.search(uri):
            return
    elif uri.startswith(STORAGE_SCHEMES):
        return
    raise ValidationError(
        f"storageUri, must be one of: [{', '.join(STORAGE_SCHEMES)}] or match"
        " https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path."
        f" StorageUri [{uri}] is not supported.",
        field=at,
    )


def storage_uri_oddities(uri: str | None, at: str) -> list[str]:
    """What to warn about in an address that is accepted."""
    if not uri or _HAS_SCHEME.search(uri) or not _ALMOST_A_SCHEME.match(uri):
        return []
    return [
        f'{at}: "{uri}" looks like a URI but is taken as a local path;'
        f" a URI starts with one of {', '.join(STORAGE_SCHEMES)}"
    ]
