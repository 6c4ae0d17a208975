"""Protocol: messages between sandbox and worker."""

from collections.abc import Callable
from typing import Any

import pytest

from worker.detector.sandbox.protocol import ProtocolError, parse_error, parse_image, parse_progress, read_message


def test_message_above_the_length_limit_raises_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        read_message(lambda count: b"\xff" * count)


@pytest.mark.parametrize(
    ("parse", "head"),
    [
        (parse_progress, {"progress": [1]}),
        (parse_progress, {"progress": None}),
        (parse_error, {"error": ["unknown_code", "x"]}),
        (parse_error, {"error": 1}),
        (lambda head: parse_image(head, b""), {"image": ["x", []]}),
        (lambda head: parse_image(head, b""), {"image": [0.0, [[1]]]}),
    ],
)
def test_message_of_another_shape_violates_the_protocol(parse: Callable[[Any], object], head: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        parse(head)
