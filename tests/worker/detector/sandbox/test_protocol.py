"""Protocol: messages between sandbox and worker."""

import pytest

from worker.detector.sandbox.protocol import ProtocolError, read_message


def test_message_above_the_length_limit_raises_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        read_message(lambda count: b"\xff" * count)
