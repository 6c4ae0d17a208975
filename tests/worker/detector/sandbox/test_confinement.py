"""Confinement: system calls, files and memory that a confined process is denied."""

import errno
import json
import signal
import subprocess
import sys
import time

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
        "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
        "import fcntl; fcntl.fcntl(0, 10, 10)",  # F_SETSIG
        "import fcntl; fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC)",
        "import fcntl; fcntl.ioctl(0, 0x5412, b'x')",  # TIOCSTI
        "libc.prctl(1, 9, 0, 0, 0) and fail()",  # PR_SET_PDEATHSIG
        "libc.syscall(56, 0, 0, 0, 0, 0) < 0 and fail()",  # clone without CLONE_THREAD
        "libc.inotify_init1(0) < 0 and fail()",
        "libc.memfd_create(b'x', 0) < 0 and fail()",
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


_TRY_ALL = """
import ctypes, json, pyseccomp
from worker.detector.sandbox import confinement
confinement.confine(memory_max_bytes=2**31, readable=[])
libc, architecture, errors = ctypes.CDLL(None, use_errno=True), pyseccomp.system_arch(), {}
filtered = "clone fcntl ioctl prctl prlimit64 tgkill".split()
allowed = {pyseccomp.resolve_syscall(architecture, name) for name in [*confinement.ALLOWED_SYSCALLS, *filtered]}
probes = {335, 336}  # uretprobe and uprobe: the kernel exempts them from seccomp and ends a process that calls them
for number in set(range(600)) - allowed - probes:
    result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
    errors[number] = ctypes.get_errno() if result == -1 else 0
print(json.dumps([pyseccomp.resolve_syscall(architecture, "clone3"), errors]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp exists only on Linux")
def test_each_system_call_that_is_not_on_the_list_is_denied() -> None:
    done = subprocess.run([sys.executable, "-c", _TRY_ALL], capture_output=True, text=True, check=True)
    clone3, errors = json.loads(done.stdout)
    assert errors.pop(str(clone3)) == errno.ENOSYS
    assert set(errors.values()) == {errno.EPERM}
    assert len(errors) > 250


_LOGS = """
import pyseccomp
from worker.detector.sandbox import confinement
pyseccomp.SyscallFilter.load = lambda rules: print(rules.get_attr(pyseccomp.Attr.CTL_LOG))
confinement.confine(memory_max_bytes=2**31, readable=[])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp exists only on Linux")
def test_denied_system_calls_are_logged_by_the_kernel() -> None:
    done = subprocess.run([sys.executable, "-c", _LOGS], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


_SIGNAL_PARENT = """
import fcntl, os, signal
from worker.detector.sandbox import confinement
confinement._restrict_files = lambda *_: False  # a kernel without Landlock
reader, writer = os.pipe()
confinement.confine(memory_max_bytes=2**31, readable=[])
for command, value in [(fcntl.F_SETOWN, os.getppid()), (10, signal.SIGUSR1), (fcntl.F_SETFL, os.O_ASYNC)]:
    try:
        fcntl.fcntl(reader, command, value)
    except PermissionError:
        pass
os.write(writer, b"x")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp exists only on Linux")
def test_confined_process_cannot_signal_its_parent_without_landlock() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: received.append(number))
    try:
        subprocess.run([sys.executable, "-c", _SIGNAL_PARENT], check=True)
        time.sleep(0.2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == []
