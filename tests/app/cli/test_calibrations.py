"""``unmask calibrate``: what is refused before a clip is analyzed, and the table of thresholds."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.calibrations import print_calibrations
from app.cli.main import commands
from app.core.enums import CalibrationSource
from app.schemas.calibrations import StoredCalibration
from tests.support.factories import make_calibration, make_curve

UNREACHABLE = ["--url", "http://127.0.0.1:9", "--key", "k"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "5.0% needs 60 to 10000 clips. There are 2 files."),
        (["--suspicious", "0.01"], "1.0% needs 300 to 10000 clips."),
        (["--suspicious", "0"], "1e-06 <= --manipulated <= --suspicious < 1"),
        (["--suspicious", "0.01", "--manipulated", "0.05"], "1e-06 <= --manipulated <= --suspicious < 1"),
    ],
)
def test_too_few_clips_and_wrong_rates_are_refused_at_once(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "deeper").mkdir()
    for name in ("a.mp4", "deeper/b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    done = CliRunner().invoke(commands, ["calibrate", str(tmp_path), *arguments, *UNREACHABLE])
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())


def test_table_has_each_threshold_with_its_rates(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    calibration = make_calibration()
    few_fakes = make_calibration(make_curve([(0.9, 0, 0.3), (0, 1, 1)], fakes=3))
    print_calibrations(
        StoredCalibration.model_validate(
            {
                "id": f"cal_{number}",
                "sha256": "0" * 64,
                "source": CalibrationSource.OWN,
                "active": number == 0,
                "created_at": "2026-11-28T00:00:00Z",
                **dict(found),
            }
        )
        for number, found in enumerate((calibration, few_fakes))
    )
    lines = capsys.readouterr().out.splitlines()
    assert "cal_0  m 1, active" in lines
    assert "cal_1  m 1, not active" in lines
    suspicious = next(line for line in lines if "SUSPICIOUS" in line)
    assert "60.0%" in suspicious
    assert "5.0% (3.1% to 7.6%) of 400" in suspicious
    assert [line.split()[-1] for line in lines if "not AUTHENTIC" in line][-1] == "-"
