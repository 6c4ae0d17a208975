"""Confinement: system calls, files and memory that a confined process is denied."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp and Landlock exist only on Linux")
@pytest.mark.parametrize(
    "action",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.socketpair()",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.fork()",
        "import os; os.kill(os.getppid(), 0)",
        "libc.syscall(234, os.getppid(), os.getppid(), 0) and fail()",  # tgkill
        "libc.prlimit(os.getppid(), 7, None, None) and fail()",
        "libc.shmget(0, 4096, 0o1600) < 0 and fail()",
        "os.chmod('/dev/shm', 0o1777)",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)",
        "open('/etc/passwd').read()",
        "open('/proc/1/environ').read()",
        "open('/dev/shm/unmask-test', 'w')",
        "bytearray(4 * 2**30)",
    ],
)
def test_confined_process_is_denied(action: str) -> None:
    code = (
        "from worker.detector.sandbox.confinement import confine;"
        "layers = confine(memory_max_bytes=2**30, readable=[]);"
        "assert {'seccomp', 'limits'} <= set(layers), layers;"
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True);"
        "fail = lambda: (_ for _ in ()).throw(PermissionError(ctypes.get_errno()));"
        f"print('confined', flush=True); {action}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "confined\n"
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith(("PermissionError", "MemoryError"))
