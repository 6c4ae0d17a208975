"""Detection of video containers by their first bytes, before a decoder opens the file."""

from app.core.errors import AnimatedWebpError, UnsupportedMediaError

SNIFF_BYTES = 4096
"""Number of first bytes that the detection needs: an animated PNG may have a colour profile before it says so."""
FORMAT_NAMES = "MP4, MOV, 3GP, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, FLV, GIF or animated PNG"

_VIDEO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"M4A ", b"M4B ")
_MATROSKA, _FLV, _MPEG_PS, _PNG = b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x00\x00\x01\xba", b"\x89PNG\r\n\x1a\n"
_GIF = (b"GIF87a", b"GIF89a")
_TS_PACKETS = ((0, 188), (4, 192))
"""Offset of the sync byte and packet length, of MPEG-TS and of M2TS."""
_WEBP_FLAGS_OFFSET, _WEBP_ANIMATION = 20, 0x02
"""Flags of the extended header of a WebP file (RFC 9649, section 2.7)."""


def require_video_signature(head: bytes) -> None:
    """Check the first bytes of a clip.

    Raises:
        AnimatedWebpError: They belong to an animated WebP.
        UnsupportedMediaError: They do not belong to a supported video container.
    """
    if not head:
        raise UnsupportedMediaError("The clip is empty. Send the video file itself.")
    if is_animated_webp(head):
        raise AnimatedWebpError("Animated WebP is not supported. Convert it to GIF or MP4.")
    if not _is_video(head):
        raise UnsupportedMediaError(f"This is not a supported video file. Send {FORMAT_NAMES}.")


def is_animated_webp(head: bytes) -> bool:
    """Return True if these first bytes belong to an animated WebP."""
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) <= _WEBP_FLAGS_OFFSET:
        return False
    return bool(head[_WEBP_FLAGS_OFFSET] & _WEBP_ANIMATION)


def _is_video(head: bytes) -> bool:
    if head[4:8] == b"ftyp":
        return head[8:12] not in _IMAGE_BRANDS
    if head[4:8] in _VIDEO_BOXES or head.startswith((_MATROSKA, _FLV, _MPEG_PS, *_GIF)):
        return True
    if head.startswith(_PNG):
        return b"acTL" in head
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    return any(head[at : at + 1] == b"G" == head[at + step : at + step + 1] for at, step in _TS_PACKETS)
