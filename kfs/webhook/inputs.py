"""What goes into a pod beside the pod itself: configuration, namespace, and its ServiceAccount's Secrets.

Secrets and ServiceAccounts are read from the server when a pod needs them, and forgotten with the answer.

Upstream: kserve/kserve v0.5.1 `pkg/credentials/service_account_credentials.go`.

Differs: nothing is cached (difference 16), and what is missing becomes a warning (difference 21). A read that
fails refuses the pod, so that its creator tries again; the original lets it run without credentials.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kfs.api.config import Config
from kfs.api.credentials import Access, access
from kfs.manager.errors import KfsError
from kfs.manager.objects.kinds import SECRET, SERVICE_ACCOUNT, Kind, ObjectKey
from kfs.manager.objects.tree import Frozen, sequence

if TYPE_CHECKING:
    from kfs.manager.client import Reader

DEFAULT_SERVICE_ACCOUNT: Final = "default"
# No object has a name of another form. These come from users, and go into the path of a request.
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Credentials:
    """The Secrets of a pod's ServiceAccount, in its order, and what its user should be told about them."""

    secrets: tuple[Frozen, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What a mutation depends on beside the pod. `namespace`: the pod's, which it may not carry itself yet."""

    config: Config = field(default_factory=Config)
    namespace: str = ""
    credentials: Credentials = Credentials()

    def access(self) -> Access:
        """How a container of the pod gets at its credentials.

        Raises:
            ConfigError: there are Secrets to look at, and section `credentials` is bad.
        """
        secrets = self.credentials.secrets
        return access(secrets, self.config.credentials) if secrets else Access()


async def read_credentials(live: Reader, namespace: str, service_account: str) -> Credentials:
    """The Secrets that a ServiceAccount names: one read, then all Secrets at once.

    An empty `service_account` means the namespace's default one, which may well not exist.

    Raises:
        KfsError: something could not be read; the message says what.
    """
    key = ObjectKey(namespace, service_account or DEFAULT_SERVICE_ACCOUNT)
    account = await _read(live, SERVICE_ACCOUNT, key)
    if account is None:
        missing = f"ServiceAccount {key} does not exist, so that the pod gets no credentials: create it"
        return Credentials(warnings=(missing,) if service_account else ())
    references = (ref.get("name") for ref in sequence(account, "secrets") if isinstance(ref, dict))
    names = list(dict.fromkeys(str(name) for name in references if name))
    try:
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(_read(live, SECRET, ObjectKey(namespace, name))) for name in names]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    found = [read.result() for read in reads]
    return Credentials(
        secrets=tuple(secret for secret in found if secret is not None),
        warnings=tuple(
            f'ServiceAccount {key} names Secret "{name}", which does not exist, so that the pod gets no credentials'
            " from it: create the Secret, or take it off the ServiceAccount"
            for name, secret in zip(names, found, strict=True)
            if secret is None
        ),
    )


async def _read(live: Reader, kind: Kind, key: ObjectKey) -> Frozen | None:
    if not _NAME.fullmatch(key.name):
        return None
    try:
        return await live.get(kind, key)
    except KfsError as error:
        raise KfsError(f"cannot read {kind.kind} {key}: {error}") from error
