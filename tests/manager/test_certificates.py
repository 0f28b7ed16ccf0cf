"""The serving certificate's files: brought or made, renewed, shared, and refused with a remedy."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from kfs.manager.errors import ConfigError
from kfs.manager.webhook.authority import Authority
from kfs.manager.webhook.certificates import ensure_certificates

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = ["kfs.ns.svc", "localhost", "127.0.0.1", "::1"]
DAY = timedelta(days=1)


def files(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir() if not file.name.startswith(".")}


def bring(directory: Path, *names: str, hosts: tuple[str, ...] = ("brought.example",)) -> Authority:
    """Files such as an operator or cert-manager puts there."""
    authority = Authority.create(Authority.new_key(), NOW)
    key = Authority.new_key()
    directory.mkdir(exist_ok=True)
    contents = {"tls.crt": authority.issue(hosts, key, NOW), "tls.key": key, "ca.crt": authority.certificate}
    for name in names:
        (directory / name).write_bytes(contents[name])
    return authority


def loaded(directory: Path, name: str = "tls.crt") -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / name).read_bytes())


def connect(directory: Path, ca_bundle: bytes, host: str) -> None:
    """A TLS handshake in memory, by the rules that Python applies to the whole web."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    client = ssl.create_default_context(cadata=ca_bundle.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(down, up, server_hostname=host)
    callee = server.wrap_bio(up, down, server_side=True)
    waiting = [caller, callee]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_made_verifies_for_each_host(tmp_path: Path, host: str) -> None:
    made = ensure_certificates(tmp_path, HOSTS, NOW)
    connect(tmp_path, made.ca_bundle, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tmp_path, made.ca_bundle, "elsewhere.example")


def test_what_is_made_lies_where_it_is_looked_for(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    made = ensure_certificates(directory, HOSTS, NOW)
    assert (made.cert_file, made.key_file) == (directory / "tls.crt", directory / "tls.key")
    assert made.ca_bundle == (directory / "ca.crt").read_bytes()
    modes = {name: (directory / name).stat().st_mode & 0o777 for name in files(directory)}
    assert modes == {"tls.crt": 0o644, "tls.key": 0o600, "ca.crt": 0o644, "ca.key": 0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


def test_what_is_made_lasts_a_year_and_its_ca_ten(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, HOSTS, NOW)
    assert loaded(tmp_path).not_valid_after_utc == NOW + 365 * DAY
    assert loaded(tmp_path, "ca.crt").not_valid_after_utc == NOW + 3650 * DAY
    assert loaded(tmp_path).not_valid_before_utc < NOW


def test_what_is_there_and_good_stays(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path, HOSTS, NOW)
    before = files(tmp_path)
    assert ensure_certificates(tmp_path, ["LOCALHOST", "0:0:0:0:0:0:0:1"], NOW + 300 * DAY) == first
    assert files(tmp_path) == before


def test_a_new_host_is_added_to_those_there(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path, ["a.example"], NOW)
    before = files(tmp_path)
    second = ensure_certificates(tmp_path, ["b.example"], NOW)
    assert second.digest != first.digest
    assert second.ca_bundle == first.ca_bundle
    assert files(tmp_path)["tls.key"] == before["tls.key"]
    connect(tmp_path, second.ca_bundle, "a.example")
    connect(tmp_path, second.ca_bundle, "b.example")


def test_a_certificate_that_ends_soon_is_renewed(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, HOSTS, NOW)
    ca = (tmp_path / "ca.crt").read_bytes()
    ensure_certificates(tmp_path, HOSTS, NOW + 340 * DAY)
    assert loaded(tmp_path).not_valid_after_utc == NOW + 705 * DAY
    assert (tmp_path / "ca.crt").read_bytes() == ca


def test_a_ca_that_ends_soon_is_renewed_and_vouches_for_what_it_issued(tmp_path: Path) -> None:
    old = ensure_certificates(tmp_path, HOSTS, NOW - 3640 * DAY)
    leaf = (tmp_path / "tls.crt").read_bytes()
    new = ensure_certificates(tmp_path, HOSTS, NOW)
    assert new.ca_bundle != old.ca_bundle
    assert Authority(new.ca_bundle, (tmp_path / "ca.key").read_bytes()).issued(leaf)
    connect(tmp_path, new.ca_bundle, "localhost")


def test_a_brought_pair_is_never_touched(tmp_path: Path) -> None:
    bring(tmp_path, "tls.crt", "tls.key", "ca.crt")
    before = files(tmp_path)
    certificate = ensure_certificates(tmp_path, HOSTS, NOW + 4000 * DAY)
    assert files(tmp_path) == before
    assert certificate.ca_bundle == before["ca.crt"]


def test_a_brought_pair_beside_a_ca_of_ours_is_never_touched(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, HOSTS, NOW)
    bring(tmp_path, "tls.crt", "tls.key")
    before = files(tmp_path)
    ensure_certificates(tmp_path, ["new.example"], NOW + 400 * DAY)
    assert files(tmp_path) == before


def test_the_bundle_of_a_brought_chain_is_its_issuers(tmp_path: Path) -> None:
    authority = bring(tmp_path, "tls.crt", "tls.key")
    alone = ensure_certificates(tmp_path, HOSTS, NOW)
    assert alone.ca_bundle == (tmp_path / "tls.crt").read_bytes()
    with (tmp_path / "tls.crt").open("ab") as file:
        file.write(authority.certificate)
    assert ensure_certificates(tmp_path, HOSTS, NOW).ca_bundle == authority.certificate


def test_a_brought_pair_does_not_load_cryptography(tmp_path: Path) -> None:
    bring(tmp_path, "tls.crt", "tls.key")
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from kfs.manager.webhook import certificates, server\n"
        "certificates.ensure_certificates(Path(sys.argv[1]), ['x'], datetime.now(UTC))\n"
        "assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


@pytest.mark.parametrize(("present", "missing"), [("tls.crt", "tls.key"), ("tls.key", "tls.crt")])
def test_half_a_brought_pair_is_refused(tmp_path: Path, present: str, missing: str) -> None:
    bring(tmp_path, present)
    with pytest.raises(ConfigError, match=f"{present}: {missing} is missing beside it"):
        ensure_certificates(tmp_path, HOSTS, NOW)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    bring(tmp_path, "tls.crt", "tls.key")
    bring(tmp_path, "tls.key")
    with pytest.raises(ConfigError, match=r"tls\.key, .*tls\.crt: it is not the key of that certificate"):
        ensure_certificates(tmp_path, HOSTS, NOW)


def test_garbage_is_refused(tmp_path: Path) -> None:
    bring(tmp_path, "tls.crt", "tls.key")
    (tmp_path / "tls.key").write_text("secret")
    with pytest.raises(ConfigError, match=r"tls\.key, .*: they cannot be used") as caught:
        ensure_certificates(tmp_path, HOSTS, NOW)
    assert "secret" not in str(caught.value)
    (tmp_path / "tls.crt").write_text("")
    with pytest.raises(ConfigError, match=r"tls\.crt: no PEM certificate"):
        ensure_certificates(tmp_path, HOSTS, NOW)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    bring(tmp_path, "tls.crt")
    (tmp_path / "tls.key").mkdir()
    with pytest.raises(ConfigError, match=r"tls\.key: cannot read it"):
        ensure_certificates(tmp_path, HOSTS, NOW)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: cannot make certificates there"):
        ensure_certificates(tmp_path / "file", HOSTS, NOW)


def test_a_ca_without_its_key_is_refused(tmp_path: Path) -> None:
    bring(tmp_path, "ca.crt")
    with pytest.raises(ConfigError, match=r"ca\.crt: without ca\.key"):
        ensure_certificates(tmp_path, HOSTS, NOW)


def test_a_ca_that_does_not_fit_its_key_is_refused(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, HOSTS, NOW)
    bring(tmp_path, "ca.crt")
    with pytest.raises(ConfigError, match=r"ca\.key: they cannot be used"):
        ensure_certificates(tmp_path, HOSTS, NOW)


@pytest.mark.parametrize("hosts", [[], ["bücher.example"]])
def test_hosts_that_no_certificate_can_have_are_refused(tmp_path: Path, hosts: list[str]) -> None:
    with pytest.raises(ConfigError, match="cannot issue a certificate for"):
        ensure_certificates(tmp_path, hosts, NOW)


@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_crash_between_files_is_made_good(tmp_path: Path, written: int) -> None:
    order = ["ca.key", "ca.crt", "tls.crt", "tls.key"]
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    ensure_certificates(whole, HOSTS, NOW)
    torn.mkdir()
    for name in order[:written]:
        shutil.copy(whole / name, torn)
    connect(torn, ensure_certificates(torn, HOSTS, NOW).ca_bundle, "localhost")


async def test_many_at_once_agree(tmp_path: Path) -> None:
    made = await asyncio.gather(
        *(asyncio.to_thread(ensure_certificates, tmp_path, [f"h{i}.example"], NOW) for i in range(8))
    )
    assert len({certificate.ca_bundle for certificate in made}) == 1
    final = ensure_certificates(tmp_path, [], NOW)
    for i in range(8):
        connect(tmp_path, final.ca_bundle, f"h{i}.example")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, HOSTS, NOW)
    assert {file.name for file in tmp_path.iterdir()} == {"tls.crt", "tls.key", "ca.crt", "ca.key", ".lock"}
