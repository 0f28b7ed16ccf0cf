"""The serving certificate's files: found, or made by a CA of our own that lives beside them.

    tls.crt, tls.key    what is served; brought by an operator or by cert-manager, or issued here
    ca.crt              whom the API server shall trust; optional beside a certificate that was brought
    ca.key              only beside certificates issued here, which is how they are told apart

Files are replaced whole, and a certificate is issued again for the key it has, so that whoever reads
meanwhile finds a pair that fits. Only making one loads `cryptography`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import os
import re
import ssl
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kfs.manager.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from kfs.manager.webhook.authority import Authority

CERT_FILE, KEY_FILE, CA_FILE, CA_KEY_FILE = "tls.crt", "tls.key", "ca.crt", "ca.key"
RENEW_BEFORE = timedelta(days=30)

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """A certificate and its key, in files. `ca_bundle` is PEM; `digest` differs when either file does."""

    cert_file: Path
    key_file: Path
    ca_bundle: bytes
    digest: str


def read_certificate(directory: Path) -> ServingCertificate:
    """What lies in `directory` now; whether certificate and key fit is `server_context`'s to say.

    The CA bundle is `ca.crt`, else the certificates after the first in `tls.crt`, else `tls.crt` itself.

    Raises:
        ConfigError: a file is missing or unreadable.
    """
    cert_file, key_file, ca_file = (directory / name for name in (CERT_FILE, KEY_FILE, CA_FILE))
    chain, key = _read(cert_file), _read(key_file)
    certificates = _CERTIFICATE.findall(chain)
    if not certificates:
        raise ConfigError(f"{cert_file}: no PEM certificate in it: put one there, or remove the file")
    bundle = _read(ca_file) if ca_file.exists() else b"".join(certificates[1:]) or certificates[0]
    return ServingCertificate(cert_file, key_file, bundle, hashlib.sha256(chain + b"\0" + key).hexdigest())


def server_context(certificate: ServingCertificate) -> ssl.SSLContext:
    """A TLS context that serves this pair.

    Raises:
        ConfigError: certificate and key do not fit, or cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password, or else OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate.cert_file, certificate.key_file, password="")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            problem = "it is not the key of that certificate"
        else:
            problem = f"they cannot be used: {reason or error}"
        raise ConfigError(
            f"{certificate.key_file}, {certificate.cert_file}: {problem}: "
            "put a PEM certificate and its unencrypted key there, or remove both to have them made"
        ) from error
    return context


def ensure_certificates(directory: Path, hosts: Sequence[str], now: datetime) -> ServingCertificate:
    """The serving certificate in `directory`, made or renewed when that is ours to do.

    `hosts` are the DNS names and IP addresses by which API servers come. A certificate that was brought is
    used as it is. One that was issued here is issued again when it lacks one of `hosts` (it keeps those it
    has) or ends within `RENEW_BEFORE`. Several processes may do this at once in one directory.

    Raises:
        ConfigError: the files cannot be used or written; the message names the file and the remedy.
    """
    cert_file, key_file, ca_key_file = (directory / name for name in (CERT_FILE, KEY_FILE, CA_KEY_FILE))
    if not (cert_file.exists() and key_file.exists() and not ca_key_file.exists()):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(directory):
                _issue(directory, {_normal(host) for host in hosts}, now)
        except OSError as error:
            raise ConfigError(
                f"{error.filename or directory}: cannot make certificates there: {error.strerror}: "
                f"let this user write to the directory, or put {CERT_FILE} and {KEY_FILE} there"
            ) from error
    certificate = read_certificate(directory)
    server_context(certificate)
    return certificate


def _issue(directory: Path, hosts: set[str], now: datetime) -> None:
    cert_file, key_file = directory / CERT_FILE, directory / KEY_FILE
    if not cert_file.exists() and key_file.exists():
        raise ConfigError(f"{key_file}: {CERT_FILE} is missing beside it: add it, or remove the key")
    authority = _authority(directory, now)
    chain = _read(cert_file) if cert_file.exists() else None
    if chain is not None and not authority.issued(chain):
        if not key_file.exists():
            raise ConfigError(f"{cert_file}: {KEY_FILE} is missing beside it: add it, or remove the certificate")
        return
    if chain is not None and key_file.exists():
        leaf = authority.leaf(chain)
        if leaf.hosts >= hosts and leaf.expires - now > RENEW_BEFORE:
            return
        hosts = leaf.hosts | hosts
    # The certificate goes first: alone, after a crash, it still proves that it is ours and may be replaced.
    key = _read(key_file) if key_file.exists() else authority.new_key()
    try:
        issued = authority.issue(sorted(hosts), key, now)
    except ValueError as error:
        raise ConfigError(f"cannot issue a certificate for {', '.join(sorted(hosts)) or 'no host'}: {error}") from error
    _write(cert_file, issued, 0o644)
    if not key_file.exists():
        _write(key_file, key, 0o600)


def _authority(directory: Path, now: datetime) -> Authority:
    # Loaded on use: 9 MB that a process with a certificate from elsewhere need not have.
    from kfs.manager.webhook.authority import Authority

    ca_file, key_file = directory / CA_FILE, directory / CA_KEY_FILE
    if ca_file.exists() and not key_file.exists():
        raise ConfigError(
            f"{ca_file}: without {CA_KEY_FILE} it cannot issue a certificate: "
            f"put {CERT_FILE} and {KEY_FILE} there, or remove it"
        )
    try:
        if ca_file.exists():
            authority = Authority(_read(ca_file), _read(key_file))
            if authority.expires - now > RENEW_BEFORE:
                return authority
        # The key goes first and is kept: a CA renewed for the same key still vouches for what it issued.
        if not key_file.exists():
            _write(key_file, Authority.new_key(), 0o600)
        authority = Authority.create(_read(key_file), now)
    except ValueError as error:
        raise ConfigError(
            f"{ca_file}, {key_file}: they cannot be used: {error}: remove both, and {CERT_FILE} and {KEY_FILE}"
        ) from error
    _write(ca_file, authority.certificate, 0o644)
    return authority


def _normal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "add it" if isinstance(error, FileNotFoundError) else "let this user read it"
        raise ConfigError(f"{path}: cannot read it: {error.strerror}: {remedy}") from error


def _write(path: Path, data: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with open(directory / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
