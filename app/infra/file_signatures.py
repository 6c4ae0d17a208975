"""Detection of video containers by their first bytes, before a decoder opens the file."""

from app.core.errors import UnsupportedMediaError

SNIFF_BYTES = 512
"""Number of first bytes that the detection needs."""
_VIDEO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"M4A ", b"M4B ")
_TS_PACKETS = ((0, 188), (4, 192))
"""Offset of the sync byte and packet length, of MPEG-TS and of M2TS."""


def _is_video(head: bytes) -> bool:
    """Return whether these first bytes may belong to MP4, MOV, 3GP, Matroska, WebM, MPEG-TS or AVI."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _IMAGE_BRANDS
    if head[4:8] in _VIDEO_BOXES or head.startswith(b"\x1a\x45\xdf\xa3"):
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    return any(head[at : at + 1] == b"G" == head[at + step : at + step + 1] for at, step in _TS_PACKETS)


def require_video_signature(head: bytes) -> None:
    """Raise UnsupportedMediaError if these first bytes do not belong to a supported video container."""
    if not head:
        raise UnsupportedMediaError("The clip is empty. Send the video file itself.")
    if not _is_video(head):
        raise UnsupportedMediaError(
            "This is not a supported video file. Send MP4, MOV, 3GP, Matroska, WebM, MPEG-TS or AVI."
        )
