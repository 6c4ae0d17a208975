"""Checks before the start of the embedded service."""

import socket

import pytest

from app.local.serve import PortInUseError, check_port


def test_port_in_use_raises_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port}: Address already in use.*UNMASK_API_PORT"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)
