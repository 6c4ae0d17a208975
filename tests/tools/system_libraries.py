"""Print the command that installs missing libraries of MediaPipe and the sandbox. Exit status 1 if one is missing."""

import ctypes
import sys

_NEEDED = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2", "libseccomp.so.2": "libseccomp2"}


def find_missing_packages() -> list[str]:
    """Return the Debian packages of the missing libraries."""
    packages = []
    for library, package in _NEEDED.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    return packages


if __name__ == "__main__" and sys.platform == "linux" and (packages := find_missing_packages()):
    print(f"System libraries are missing. On Debian run: apt-get install {' '.join(packages)}")
    sys.exit(1)
