"""Connections to URLs that clients name (protection against SSRF): only to public or explicitly allowed addresses.

A name may resolve to a public address at the check and to a private one at the connection (DNS rebinding).
So the connection uses the checked address without a second lookup, while TLS and ``Host`` keep the name.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], Iterable[str]]

_UNICAST = ip_network("2000::/3")
"""Range from which IANA assigns global unicast addresses (RFC 4291)."""
_REFUSED = [
    # Relays and translations to IPv4 that ``is_global`` accepts, at least in some Python versions.
    *map(ip_network, ["192.88.99.0/24", "100.64.0.0/10", "2001::/23", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48"]),
]
_PORTS = {"https": 443, "http": 80}
_CONNECT_SECONDS = 5.0
_USE_PUBLIC_HOST = "Use a host on the public internet, or have the operator allow it in UNMASK_EGRESS_ALLOW."
_NO_PUBLIC_HOST = f"This host name has no public address. {_USE_PUBLIC_HOST}"
"""Message for unknown names and for private addresses alike: a difference would disclose names of the network."""


class EgressRefusedError(Exception):
    """Address or URL that the egress policy refuses; the message gives the reason without details of the network."""


def is_public(address: Address) -> bool:
    """Return whether an address is public, also if it is an IPv4 address embedded in IPv6."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address not in _UNICAST:
            return False
    is_refused = any(address in network for network in _REFUSED if network.version == address.version)
    return address.is_global and not (address.is_multicast or address.is_reserved or is_refused)


def resolve(host: str) -> list[str]:
    """Return all addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


class EgressPolicy:
    """Decides which addresses the service may connect to.

    Args:
        allowed: Private networks of the operator that are allowed, also over plain HTTP and on any port.
        resolve: Function that resolves a host name to addresses.
        backend: Network backend; tests replace it.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        resolve: Resolve = resolve,
        backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self.backend = backend or httpcore.SyncBackend()
        self._allowed = allowed
        self._resolve = resolve

    def check_url(self, url: str) -> SplitResult:
        """Check a URL without a name lookup and return its parts. Raises EgressRefusedError."""
        if not url.isascii() or not url.isprintable() or " " in url:
            raise EgressRefusedError(
                "A URL must be ASCII without spaces. Write other characters in percent-encoding or Punycode."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise EgressRefusedError("This is not a valid URL. Give an https:// URL with a host.") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise EgressRefusedError("Give an https:// URL with a host.")
        if parts.username is not None or parts.password is not None:
            raise EgressRefusedError("A URL must not contain a user name or password. Remove them.")
        literal = _parse_address(parts.hostname)
        is_allowed = literal is not None and self._is_allowed(literal)
        if literal is not None and not is_allowed and not is_public(literal):
            raise EgressRefusedError(f"This address is not public. {_USE_PUBLIC_HOST}")
        if not self._allowed and (parts.scheme != "https" or port not in {None, 443}):
            raise EgressRefusedError("Give an https:// URL on port 443.")
        return parts

    def resolve_checked(self, host: str, *, port: int, is_tls: bool) -> list[str]:
        """Return the addresses to try: those in allowed networks, else the public ones. Raises EgressRefusedError."""
        literal = _parse_address(host)
        try:
            addresses = [literal] if literal else [ip_address(found) for found in self._resolve(host)]
        except (OSError, ValueError) as error:
            raise EgressRefusedError(_NO_PUBLIC_HOST) from error
        if allowed := [str(address) for address in addresses if self._is_allowed(address)]:
            return allowed
        # Every address must be public: a private one among public ones indicates an attack.
        if not addresses or not all(is_public(address) for address in addresses):
            raise EgressRefusedError(_NO_PUBLIC_HOST)
        if not is_tls or port != _PORTS["https"]:
            raise EgressRefusedError("Public hosts are only reached over HTTPS on port 443. Use such a URL.")
        return list(map(str, addresses))

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed if network.version == address.version)


def _parse_address(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        # Other spellings that connect() accepts: 127.1, 0x7f000001, 2130706433.
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


class _DeadlineStream(httpcore.NetworkStream):
    """Stream with a deadline for all operations together, so that a slow peer cannot extend the timeout."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._remaining_seconds(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._remaining_seconds(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._remaining_seconds(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _remaining_seconds(self, timeout: float | None) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise httpcore.ReadTimeout("The request exceeded its timeout.")
        return remaining if timeout is None else min(remaining, timeout)


class _CheckedBackend(httpcore.NetworkBackend):
    """Network backend that connects to checked addresses only."""

    def __init__(self, egress: EgressPolicy, *, is_tls: bool, deadline: float) -> None:
        self._egress, self._is_tls, self._deadline = egress, is_tls, deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that accepts. The time that is left is shared among the addresses."""
        addresses = self._egress.resolve_checked(host, port=port, is_tls=self._is_tls)
        failure: Exception | None = None
        for index, address in enumerate(addresses):
            share = max(self._deadline - time.monotonic(), 0.001) / (len(addresses) - index)
            seconds = share if timeout is None else min(timeout, share)
            try:
                stream = self._egress.backend.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        assert failure is not None
        raise failure


@contextmanager
def send_request(
    egress: EgressPolicy,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes = b"",
    timeout: timedelta,
) -> Iterator[httpcore.Response]:
    """Send one request over its own connection and yield the response, also if it is a redirect. No proxy is used.

    Args:
        egress: Policy that decides about the connection.
        method: HTTP method, for example ``POST``.
        url: URL of the request.
        headers: Headers of the request; ``Host`` is added.
        content: Body of the request.
        timeout: Time for the whole exchange; the body of the response must be read within it.

    Raises:
        EgressRefusedError: The policy refuses the URL or the address.
        httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: The request failed.
    """
    parts = egress.check_url(url)
    seconds = timeout.total_seconds()
    backend = _CheckedBackend(egress, is_tls=parts.scheme == "https", deadline=time.monotonic() + seconds)
    limits = {"connect": min(_CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds}
    with httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool:
        all_headers = {"Host": parts.netloc, "Connection": "close", **headers}
        if method != "GET":
            all_headers["Content-Length"] = str(len(content))
        with pool.stream(
            method, url, headers=list(all_headers.items()), content=content, extensions={"timeout": limits}
        ) as response:
            yield response


def find_header(response: httpcore.Response, wanted: bytes) -> bytes:
    """Return the value of a header by its name in lower case; empty if there is none."""
    return next((value for name, value in response.headers if name.lower() == wanted), b"")
