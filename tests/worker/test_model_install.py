"""Installation of a released model."""

from pathlib import Path

from tests.support.models import edit_manifest
from worker.detector.model.manifest import load_model_manifest
from worker.model_install import install_model


def test_model_is_installed_under_its_own_name_and_replaced(model_copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "installed"
    assert install_model(model_copy, folder).name == "tiny"
    edit_manifest(model_copy, version="2")
    install_model(model_copy, folder)
    assert load_model_manifest(folder / "tiny").version == "2"
    assert [path.name for path in folder.iterdir()] == ["tiny"]
