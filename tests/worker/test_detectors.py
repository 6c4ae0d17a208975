"""Cache of detectors: the default, named models, replacement and eviction."""

from pathlib import Path

import pytest

from app.core.enums import FailureCode
from tests.support.detectors import TRAINED, make_idle_detector
from worker.detector.model.manifest import MANIFEST_NAME, load_model_manifest
from worker.detector.pipeline import Detector
from worker.detector.types import ClipError
from worker.detectors import LOADED_MAX, DetectorCache


def write_model(folder: Path, name: str, *, version: str = "1") -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    manifest = TRAINED.model_copy(update={"name": name, "version": version})
    (folder / name / MANIFEST_NAME).write_text(manifest.model_dump_json())


@pytest.fixture
def cache(tmp_path: Path) -> DetectorCache:
    """Return a cache over an empty folder of installed models."""

    def make(folder: Path) -> Detector:
        return make_idle_detector(load_model_manifest(folder))

    return DetectorCache(make_idle_detector(), tmp_path, make)


def test_no_name_returns_the_default_detector(cache: DetectorCache) -> None:
    assert cache.get(None) is cache.default


def test_installed_model_is_loaded_once(cache: DetectorCache, tmp_path: Path) -> None:
    write_model(tmp_path, "a")
    detector = cache.get("a")
    assert detector.manifest.name == "a"
    assert cache.get("a") is detector


def test_reinstalled_model_is_loaded_again(cache: DetectorCache, tmp_path: Path) -> None:
    write_model(tmp_path, "a")
    before = cache.get("a")
    write_model(tmp_path, "a", version="2")
    after = cache.get("a")
    assert after is not before
    assert after.manifest.version == "2"


def test_least_recently_used_detector_is_evicted(cache: DetectorCache, tmp_path: Path) -> None:
    names = [f"m{index}" for index in range(LOADED_MAX + 1)]
    for name in names:
        write_model(tmp_path, name)
    first, second = cache.get(names[0]), cache.get(names[1])
    assert cache.get(names[0]) is first
    cache.get(names[2])
    assert cache.get(names[0]) is first
    assert cache.get(names[1]) is not second


def test_missing_model_raises_model_unavailable_without_the_path(cache: DetectorCache, tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="cannot run the model 'unknown'") as caught:
        cache.get("unknown")
    assert caught.value.code is FailureCode.MODEL_UNAVAILABLE
    assert str(tmp_path) not in caught.value.message
