"""File signatures: the first bytes of videos and of other files."""

import pytest

from app.core.errors import AnimatedWebpError, UnsupportedMediaError
from app.infra.file_signatures import _is_video, require_video_signature


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x18ftypisom", True),
        (b"\x00\x00\x00\x14ftypqt  ", True),
        (b"\x00\x00\x00\x08wide\x00\x00", True),
        (b"\x1a\x45\xdf\xa3\x01", True),
        (b"RIFF\x00\x00\x00\x00AVI LIST", True),
        (b"G" + bytes(187) + b"G" + bytes(187), True),
        (bytes(4) + b"G" + bytes(191) + b"G", True),
        (b"RIFF\x00\x00\x00\x00WAVE", False),
        (b"\x00\x00\x00\x1cftypavif", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), False),
        (b"\x89PNG\r\n\x1a\n" + bytes(25) + b"\x00\x00\x00\x08acTL", True),
        (b"GIF89a" + bytes(400), True),
        (b"FLV\x01\x05", True),
        (b"\x00\x00\x01\xba\x44", True),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", False),
        (b"#EXTM3U\n", False),
        (b"", False),
        (b"\x80\x04\x95pickle", False),
    ],
)
def test_first_bytes_identify_a_video(head: bytes, expected: bool) -> None:
    assert _is_video(head) is expected


@pytest.mark.parametrize(("flags", "error"), [(0x02, AnimatedWebpError), (0x10, UnsupportedMediaError)])
def test_only_an_animated_webp_has_a_code_of_its_own(flags: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        require_video_signature(b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes([flags]))
