"""Egress policy: no connection to private addresses, no second name lookup."""

import socket
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import httpcore
import pytest

from app.infra.egress import EgressPolicy, EgressRefusedError, is_public, send_request
from tests.support.receiver import receiver

PRIVATE = [
    "0.0.0.0",  # noqa: S104 (the policy refuses it)
    "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1",
    "ff02::1", "ff0e::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
UNUSUAL_SPELLINGS = ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "10.1"]
SECOND = timedelta(seconds=1)


class Recorder(httpcore.NetworkBackend):
    """Network backend that records the address of each connection and makes none."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, int]] = []

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        raise httpcore.ConnectError("recorded")


def send_post(egress: EgressPolicy, url: str) -> None:
    with send_request(egress, "POST", url, headers={}, timeout=SECOND):
        pass


@pytest.mark.parametrize("address", PRIVATE)
def test_request_to_private_address_is_refused_without_connection(address: str) -> None:
    recorder = Recorder()
    assert not is_public(ip_address(address))
    literal = f"https://[{address}]/webhook" if ":" in address else f"https://{address}/webhook"
    for url in (literal, "https://innocent.example/webhook"):
        with pytest.raises(EgressRefusedError):
            send_post(EgressPolicy(resolve=lambda _: [address], backend=recorder), url)
    with pytest.raises(EgressRefusedError):  # one private address among public ones
        send_post(
            EgressPolicy(resolve=lambda _: ["8.8.8.8", address], backend=recorder), "https://innocent.example/webhook"
        )
    assert recorder.connected == []


@pytest.mark.parametrize("address", PUBLIC)
def test_request_to_public_address_connects_to_checked_address(address: str) -> None:
    recorder = Recorder()
    answers = iter([[address], ["127.0.0.1"]])  # a second lookup would return another address: DNS rebinding
    with pytest.raises(httpcore.ConnectError):
        send_post(EgressPolicy(resolve=lambda _: next(answers), backend=recorder), "https://webhooks.example/in")
    assert [(ip_address(host), port) for host, port in recorder.connected] == [(ip_address(address), 443)]


@pytest.mark.parametrize("host", UNUSUAL_SPELLINGS)
def test_request_to_unusually_spelled_private_address_is_refused(host: str) -> None:
    recorder = Recorder()
    with pytest.raises(EgressRefusedError):
        send_post(EgressPolicy(resolve=lambda name: [name], backend=recorder), f"https://{host}/")
    assert recorder.connected == []


@pytest.mark.parametrize(
    "url",
    ["http://webhooks.example/", "https://webhooks.example:8443/", "ftp://webhooks.example/", "https://u:p@webhooks.example/",
     "https:///path", "//webhooks.example", "https://webhooks.example:99999/",
     "https://webhooks.example/\u00fc", "https://webhooks.example/\n", "file:///etc/passwd", "gopher://x/",
     "https://webhooks.example/my clip"],
)  # fmt: skip
def test_request_to_url_without_plain_https_is_refused(url: str) -> None:
    recorder = Recorder()
    with pytest.raises(EgressRefusedError):
        send_post(EgressPolicy(resolve=lambda _: ["8.8.8.8"], backend=recorder), url)
    assert recorder.connected == []


def test_request_to_unresolvable_name_is_refused() -> None:
    def fail(_: str) -> Iterable[str]:
        raise socket.gaierror

    for egress in (EgressPolicy(resolve=fail), EgressPolicy(resolve=lambda _: [])):
        with pytest.raises(EgressRefusedError):
            send_post(egress, "https://nowhere.example/")


def test_request_to_allowed_network_connects_and_other_private_networks_are_refused() -> None:
    recorder = Recorder()
    hosts = {"lan": "10.1.2.3", "far": "10.2.0.1"}
    egress = EgressPolicy([ip_network("10.1.0.0/16")], resolve=lambda name: [hosts[name]], backend=recorder)
    with pytest.raises(httpcore.ConnectError):
        send_post(egress, "http://lan:8080/webhook")
    for url in ("http://far/", "http://10.2.0.1/", "http://127.0.0.1/"):
        with pytest.raises(EgressRefusedError):
            send_post(egress, url)
    assert recorder.connected == [("10.1.2.3", 8080)]


def test_request_to_public_host_needs_https_even_with_allowed_network() -> None:
    recorder = Recorder()
    egress = EgressPolicy([ip_network("10.1.0.0/16")], resolve=lambda _: ["8.8.8.8"], backend=recorder)
    for url in ("http://webhooks.example/", "https://webhooks.example:8443/"):
        with pytest.raises(EgressRefusedError):
            send_post(egress, url)
    assert recorder.connected == []


def test_slow_response_exceeds_total_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def send_slowly() -> None:
            connection, _ = server.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\n" * 100:
                    time.sleep(0.1)
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return

        threading.Thread(target=send_slowly, daemon=True).start()
        start = time.monotonic()
        egress = EgressPolicy([ip_network("127.0.0.0/8")])
        with (
            pytest.raises(httpcore.TimeoutException),
            send_request(egress, "POST", f"http://127.0.0.1:{port}/", headers={}, timeout=SECOND),
        ):
            pass
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("addresses", [["127.0.0.9", "127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "127.0.0.9"]])
def test_each_allowed_address_of_a_host_is_tried(addresses: list[str]) -> None:
    with receiver() as target:
        port = urlsplit(target.url).port
        egress = EgressPolicy([ip_network("127.0.0.0/8")], resolve=lambda _: addresses)
        with send_request(egress, "POST", f"http://two.example:{port}/", headers={}, timeout=SECOND) as response:
            assert response.status == 200
    assert len(target.requests) == 1


def test_unresponsive_address_leaves_time_for_the_next() -> None:
    class Network(Recorder):
        def connect_tcp(self, host: str, port: int, *rest: object, **_: object) -> httpcore.NetworkStream:
            timeout = rest[0]
            assert isinstance(timeout, float)
            time.sleep(timeout)
            self.connected.append((host, port))
            raise httpcore.ConnectTimeout("silent")

    network = Network()
    start = time.monotonic()
    with pytest.raises(httpcore.ConnectTimeout):
        send_post(EgressPolicy(resolve=lambda _: ["8.8.8.8", "1.1.1.1"], backend=network), "https://two.example/")
    assert [host for host, _ in network.connected] == ["8.8.8.8", "1.1.1.1"]
    assert time.monotonic() - start < 1.5
