"""Kinds and the paths that they give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.objects.kinds import LEASE, NAMESPACE, SECRET

PATHS = {
    "/api/v1/secrets": SECRET.path(),
    "/api/v1/namespaces/ns/secrets": SECRET.path("ns"),
    "/api/v1/namespaces/ns/secrets/s": SECRET.path("ns", "s"),
    "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l/status": LEASE.path("ns", "l", "status"),
    "/api/v1/namespaces/ns": NAMESPACE.path("", "ns"),
}


@pytest.mark.parametrize(("expected", "path"), PATHS.items(), ids=PATHS)
def test_paths(expected: str, path: str) -> None:
    assert path == expected


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_leads_to_another_path(namespace: str, name: str) -> None:
    parts = SECRET.path(namespace, name).split("/")
    assert parts[:4] == ["", "api", "v1", "namespaces"]
    assert len(parts) == 7
    assert not {"", ".", ".."} & {parts[4], parts[6]}
    assert not set("?#") & set("".join(parts))
