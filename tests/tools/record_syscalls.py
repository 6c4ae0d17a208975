"""Print system calls of the sandbox that its filter lacks: ``python -m tests.tools.record_syscalls``. Needs strace.

Each clip of the tests is decoded in an unfiltered process under strace. The calls that it makes after its start are
compared with the list in ``worker/detector/sandbox/confinement.py``.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.catalogue import RENDERERS
from worker.detector.sandbox.confinement import ALLOWED_SYSCALLS

_DECODE = """
import os, resource, sys
from worker.detector.config import ClipLimits, DetectorConfig
from worker.detector.extraction.extract import Callbacks, extract_tracks
from worker.detector.extraction.faces import FaceDetector
from worker.detector.sandbox.confinement import allow_cpu_seconds
from worker.detector.types import ClipError
os.write(2, b"confined")
detector = FaceDetector(confidence_min=0.5)
for path in sys.argv[1:]:
    allow_cpu_seconds(100)
    try:
        with open(path, "rb") as clip:
            extract_tracks(clip, DetectorConfig(), ClipLimits(), detector,
                           Callbacks(lambda *_: None, lambda *_: None))
    except ClipError:
        pass
os._exit(0)
"""
_FILTERED_BY_ARGUMENTS = {"clone", "clone3", "fcntl", "ioctl", "prctl", "prlimit64", "tgkill"}


def main() -> None:
    """Decode the clips and print the calls that are not on the list."""
    with TemporaryDirectory() as folder:
        paths = []
        for name, render in RENDERERS.items():
            render(Path(folder, name))
            paths.append(str(Path(folder, name)))
        trace = Path(folder, "trace")
        subprocess.run(["strace", "-f", "-o", str(trace), sys.executable, "-c", _DECODE, *paths], check=True)
        _, _, after = trace.read_text(errors="replace").partition('"confined')
    made = set(re.findall(r"^\d+ +(\w+)\(", after, re.MULTILINE))
    missing = sorted(made - ALLOWED_SYSCALLS - _FILTERED_BY_ARGUMENTS)
    print(f"{len(made)} system calls, not on the list: {' '.join(missing) or 'none'} ('socket' is denied on purpose)")


if __name__ == "__main__":
    main()
