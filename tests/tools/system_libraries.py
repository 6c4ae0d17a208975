"""Says which of the system's libraries MediaPipe misses, and how to install them. Ends with 1 where it misses one."""

import ctypes
import sys

_NEEDED = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2", "libseccomp.so.2": "libseccomp2"}


def missing_packages() -> list[str]:
    """Debian's names of the packages that are missing."""
    packages = []
    for library, package in _NEEDED.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    return packages


if __name__ == "__main__" and sys.platform == "linux" and (packages := missing_packages()):
    print(f"The face detector needs libraries of the system. On Debian: apt-get install {' '.join(packages)}")
    sys.exit(1)
