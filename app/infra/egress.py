"""Connections to addresses that clients name: public ones alone, checked and then connected to without a second lookup.

A name may resolve to a public address when it is checked and to a private one when it is connected to (DNS rebinding).
So the connection goes to the very address that was checked, while TLS and ``Host`` keep the name.
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
"""All that IANA has given out as global unicast (RFC 4291)."""
_REFUSED = [
    # Those that ``is_global`` lets pass, or let pass in some version of Python: relays and translations into IPv4.
    *map(ip_network, ["192.88.99.0/24", "100.64.0.0/10", "2001::/23", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48"]),
]
_PORTS = {"https": 443, "http": 80}
_CONNECT_SECONDS = 5.0
_NO_PUBLIC_HOST = "This name leads to no address on the public internet."
"""One message whether there is none or a private one: the difference would list a network's names."""


class EgressRefusedError(Exception):
    """The service does not connect there; the message says why, and does not say what is there."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, whatever it is embedded in."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address not in _UNICAST:
            return False
    is_refused = any(address in network for network in _REFUSED if network.version == address.version)
    return address.is_global and not (address.is_multicast or address.is_reserved or is_refused)


def resolve(host: str) -> list[str]:
    """All addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


class EgressPolicy:
    """Decides where the service may connect to.

    Args:
        allowed: Networks that are allowed although they are not public: targets in an operator's own network. They may
            also be reached over plain HTTP and on any port.
        resolve: Names to addresses.
        backend: Connects; a test may record.
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
        """Refuses what can be refused by looking at a URL alone. Raises EgressRefusedError."""
        if not url.isascii() or not url.isprintable():
            raise EgressRefusedError("A URL has ASCII characters alone: write others in percent-encoding or Punycode.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise EgressRefusedError("This is not a URL.") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise EgressRefusedError("Give an https:// URL with a host.")
        if parts.username is not None or parts.password is not None:
            raise EgressRefusedError("A URL must not carry a user name or password.")
        literal = _parse_address(parts.hostname)
        is_allowed = literal is not None and self._is_allowed(literal)
        if literal is not None and not is_allowed and not is_public(literal):
            raise EgressRefusedError("This address is not on the public internet.")
        if not self._allowed and (parts.scheme != "https" or port not in {None, 443}):
            raise EgressRefusedError("Give an https:// URL on port 443.")
        return parts

    def resolve_checked(self, host: str, *, port: int, is_tls: bool) -> str:
        """The address to connect to: of a public host, or of an allowed network. Raises EgressRefusedError."""
        literal = _parse_address(host)
        try:
            addresses = [literal] if literal else [ip_address(found) for found in self._resolve(host)]
        except (OSError, ValueError) as error:
            raise EgressRefusedError(_NO_PUBLIC_HOST) from error
        if addresses and all(self._is_allowed(address) for address in addresses):
            return str(addresses[0])
        # All of them: one that is private beside a public one is an attempt to be chosen.
        if not addresses or not all(is_public(address) for address in addresses):
            raise EgressRefusedError(_NO_PUBLIC_HOST)
        if not is_tls or port != _PORTS["https"]:
            raise EgressRefusedError("Public hosts are reached over HTTPS on port 443 alone.")
        return str(addresses[0])

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed if network.version == address.version)


def _parse_address(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        # What connect() would take for an address: 127.1, 0x7f000001, 2130706433.
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


class _Deadline(httpcore.NetworkStream):
    """A stream that is over at a time, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, end: float) -> None:
        self._stream = stream
        self._end = end

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Deadline(self._stream.start_tls(ssl_context, server_hostname, self._left(timeout)), self._end)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left(self, timeout: float | None) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("The time for this connection is over.")
        return left if timeout is None else min(left, timeout)


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects where the egress lets it."""

    def __init__(self, egress: EgressPolicy, *, is_tls: bool, end: float) -> None:
        self._egress, self._is_tls, self._end = egress, is_tls, end

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._egress.resolve_checked(host, port=port, is_tls=self._is_tls)
        stream = self._egress.backend.connect_tcp(address, port, timeout, local_address, socket_options)
        return _Deadline(stream, self._end)


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
    """Sends one request over a connection of its own; redirects are not followed, no proxy is asked.

    Args:
        egress: Where connections may go.
        method: As ``POST``.
        url: Where to.
        headers: ``Host`` is added.
        content: The body.
        timeout: Time for everything, name lookup aside; the response's body must be read within it.

    Raises:
        EgressRefusedError: The egress does not let it.
        httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: It did not work.
    """
    parts = egress.check_url(url)
    seconds = timeout.total_seconds()
    guarded = _CheckedBackend(egress, is_tls=parts.scheme == "https", end=time.monotonic() + seconds)
    limits = {"connect": min(_CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds}
    with httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=guarded) as pool:
        sent = {"Host": parts.netloc, "Connection": "close", **headers}
        if method != "GET":
            sent["Content-Length"] = str(len(content))
        with pool.stream(
            method, url, headers=list(sent.items()), content=content, extensions={"timeout": limits}
        ) as answer:
            yield answer
