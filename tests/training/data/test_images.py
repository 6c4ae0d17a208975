"""Images of a manifest."""

from pathlib import Path

import pytest

from training.data.images import ImageError, ImageStore


def test_missing_or_damaged_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"x")
    with pytest.raises(ImageError, match="absent"):
        ImageStore(tmp_path).read("absent.png")
    with pytest.raises(ImageError, match="broken"):
        ImageStore(tmp_path).read("broken.png")
