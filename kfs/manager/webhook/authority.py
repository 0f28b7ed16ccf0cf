"""A CA of our own: makes itself, and issues serving certificates. Bytes in, bytes out (PEM).

The only module that knows `cryptography`, so import it where a certificate must be made and nowhere else.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
# Clocks differ: whoever is a little behind shall accept a certificate that is brand new.
BACKDATE = timedelta(hours=1)


class Leaf(NamedTuple):
    """What matters of a serving certificate: DNS names and IP addresses, and when it ends."""

    hosts: set[str]
    expires: datetime


class Authority:
    """A CA: its certificate and its key."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        """
        Raises:
            ValueError: not PEM, not an EC key, or not a pair.
        """
        self.certificate = certificate
        self._certificate = x509.load_pem_x509_certificate(certificate)
        self._key = _load_key(key)
        if self._certificate.public_key() != self._key.public_key():
            raise ValueError("it is not the key of that certificate")

    @classmethod
    def create(cls, key: bytes, now: datetime) -> Authority:
        """A self-signed CA for a key from `new_key`.

        Raises:
            ValueError: the key is not one.
        """
        loaded = _load_key(key)
        public = loaded.public_key()
        name = _name("kfs webhook CA")
        builder = _builder(name, name, public, now, now + CA_LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        return cls(_pem(builder.sign(loaded, hashes.SHA256())), key)

    @staticmethod
    def new_key() -> bytes:
        """A new P-256 key."""
        return ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def expires(self) -> datetime:
        """When the CA ends."""
        return self._certificate.not_valid_after_utc

    def issue(self, hosts: Sequence[str], key: bytes, now: datetime) -> bytes:
        """A serving certificate for DNS names and IP addresses; it ends no later than the CA.

        Raises:
            ValueError: no hosts, a host that is neither, or a key that is none.
        """
        if not hosts:
            raise ValueError("name the hosts by which it is reached")
        public = _load_key(key).public_key()
        expires = min(now + LEAF_LIFETIME, self.expires)
        builder = _builder(_name(hosts[0]), self._certificate.subject, public, now, expires)
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(alternatives, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        own_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return _pem(builder.add_extension(own_key, critical=False).sign(self._key, hashes.SHA256()))

    def issued(self, certificate: bytes) -> bool:
        """Whether this CA signed that certificate."""
        try:
            x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def leaf(self, certificate: bytes) -> Leaf:
        """What matters of a certificate that this CA `issued`."""
        loaded = x509.load_pem_x509_certificate(certificate)
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return Leaf({str(name.value) for name in names}, loaded.not_valid_after_utc)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    expires: datetime,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - BACKDATE,
        not_valid_after=expires,
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    # X.509 allows a common name of 64 characters; names that matter are among the alternatives.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not of an elliptic curve")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
