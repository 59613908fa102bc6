"""HTTP for sources: requests with time limits, and redirects that cannot lead where a job has no business.

A redirect keeps to https, from a public address to public ones only, and never to the addresses where clouds keep
credentials. The address that was checked is the one that is connected to, whatever the name says a moment later.

Not here: what is asked for (`https.py`, `oci/registry.py`).
"""

from __future__ import annotations

import enum
import http.client
import ipaddress
import socket
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.sources.problems import Invalid, Unreachable

TIMEOUT_SECONDS = 60.0
"""Longest silence of the other side."""

CONNECT_SECONDS = 15.0
"""Longest that a connection may take to come about."""

MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
BUSY = (408, 425, 429, 500, 502, 503, 504)
USER_AGENT = "finetune-trainer"


class Zone(enum.Enum):
    """Who can be behind an address."""

    PUBLIC = "public"
    PRIVATE = "private"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: the status, the headers, and the body to read block by block."""

    status: int
    headers: Mapping[str, str]
    body: http.client.HTTPResponse

    def blocks(self, size: int = 1024 * 1024) -> Iterator[bytes]:
        """Read the body.

        Raises:
            Unreachable: the connection broke.
        """
        try:
            while block := self.body.read(size):
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the connection broke: {error or type(error).__name__}") from error
        if self.body.length:
            raise Unreachable(f"the connection broke {self.body.length:,} bytes before the end")


def zone_of(address: str) -> Zone:
    """Say who can be behind an address; link-local ones hold the credentials of cloud machines."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip == ipaddress.ip_address("fd00:ec2::254"):
        return Zone.FORBIDDEN
    return Zone.PUBLIC if ip.is_global else Zone.PRIVATE


def trusted() -> ssl.SSLContext:
    """Trust whom the image or SSL_CERT_FILE names, and in an image that names nobody whom the certifi package does."""
    context, paths = ssl.create_default_context(), ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).iterdir())):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def shown(url: str) -> str:
    """Leave out of an address what may be a secret: a query often is a signature."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


@contextmanager
def get(url: str, headers: Mapping[str, str]) -> Iterator[Answer]:
    """Ask for an address and follow redirects; credentials go to the first host only.

    Raises:
        Invalid: a redirect leads where it must not.
        Unreachable: no answer, or one that says "not now".
    """
    origin, zone, sent = urllib.parse.urlsplit(url), None, dict(headers)
    for _hop in range(MOST_REDIRECTS + 1):
        connection, zone = _connect(url, origin=origin, before=zone)
        try:
            answer = _ask(connection, url, sent)
            if answer.status not in REDIRECTS or "Location" not in answer.headers:
                yield answer
                return
            url = urllib.parse.urljoin(url, answer.headers["Location"])
        finally:
            connection.close()
        target = urllib.parse.urlsplit(url)
        if target.scheme != "https" and target.netloc != origin.netloc:
            raise Invalid(f"{shown(origin.geturl())} leads to {shown(url)}, which is not https; name where the file is")
        if target.netloc != origin.netloc:
            sent = {name: value for name, value in sent.items() if name != "Authorization"}
    raise Invalid(f"{shown(origin.geturl())}: more than {MOST_REDIRECTS} redirects; name where the file is")


def _ask(connection: http.client.HTTPConnection, url: str, headers: Mapping[str, str]) -> Answer:
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (
        f"?{parts.query}" if parts.query else ""
    )
    try:
        connection.request("GET", path, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers})
        body = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{shown(url)} does not answer: {error or type(error).__name__}") from error
    if body.status in BUSY:
        said = body.headers.get("Retry-After", "")
        raise Unreachable(
            f"{shown(url)} answers {body.status} {body.reason}", wait_seconds=float(said) if said.isdigit() else 0.0
        )
    return Answer(status=body.status, headers=body.headers, body=body)


def _connect(
    url: str, *, origin: urllib.parse.SplitResult, before: Zone | None
) -> tuple[http.client.HTTPConnection, Zone]:
    parts = urllib.parse.urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    if proxy := _proxy(parts.scheme, host):
        return _through(proxy, host, port, is_tls=is_tls), Zone.PUBLIC
    addresses, zone = _resolved(host, port)
    is_lower = before is Zone.PUBLIC and zone is Zone.PRIVATE and parts.netloc != origin.netloc
    if zone is Zone.FORBIDDEN or is_lower:
        raise Invalid(f"{shown(url)} is at {addresses[0]}, where a job has no business; name another address")
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        sock = _socket(addresses, port)
        sock.settimeout(TIMEOUT_SECONDS)
        connection.sock = trusted().wrap_socket(sock, server_hostname=host) if is_tls else sock
    except ssl.SSLCertVerificationError as error:
        raise Invalid(f"{shown(url)} shows a certificate that is not trusted: {error.verify_message}") from error
    except OSError as error:
        raise Unreachable(f"{shown(url)} does not answer: {error or type(error).__name__}") from error
    return connection, zone


def _resolved(host: str, port: int) -> tuple[list[str], Zone]:
    """Find the addresses to connect to; where a name stands for several kinds, those of the worst one count."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"the name {host} is not known here: {error.strerror}") from error
    addresses = [str(place[4][0]) for place in found]
    zones = [zone_of(address) for address in addresses]
    worst = next(zone for zone in (Zone.FORBIDDEN, Zone.PRIVATE, Zone.PUBLIC) if zone in zones)
    return [address for address, zone in zip(addresses, zones, strict=True) if zone is worst], worst


def _socket(addresses: Sequence[str], port: int) -> socket.socket:
    """Connect to the first address that takes it; a name may have one for a network that is not there."""
    for address in addresses[:-1]:
        with suppress(OSError):
            return socket.create_connection((address, port), timeout=CONNECT_SECONDS)
    return socket.create_connection((addresses[-1], port), timeout=CONNECT_SECONDS)


def _proxy(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    """Find the proxy that the image or the administrator names; it decides then what can be reached."""
    proxies = urllib.request.getproxies_environment()
    if scheme not in proxies or urllib.request.proxy_bypass_environment(host, proxies):
        return None
    return urllib.parse.urlsplit(proxies[scheme])


def _through(proxy: urllib.parse.SplitResult, host: str, port: int, *, is_tls: bool) -> http.client.HTTPConnection:
    where = (proxy.hostname or "", proxy.port or 80)
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    connection = kind(*where, timeout=TIMEOUT_SECONDS)
    connection.set_tunnel(host, port)
    return connection
