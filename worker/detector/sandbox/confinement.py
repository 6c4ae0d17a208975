"""Confinement of this process: no network, no other programs, no other files, limited memory and processor time.

Linux: seccomp (libseccomp), Landlock (landlock(7)), resource limits, no_new_privs. Other systems: only the limits.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_ALLOWED_SYSCALLS = """
    access arch_prctl brk clock_getres clock_gettime clock_nanosleep close close_range dup dup2 dup3 eventfd2
    exit exit_group faccessat faccessat2 fadvise64 fstat futex futex_waitv futex_wake futex_wait getcpu getcwd
    getdents64 getegid geteuid getgid getpid getppid getpriority getrandom getrlimit getrusage gettid
    gettimeofday getuid lseek lstat madvise membarrier mincore mmap mprotect mremap munmap nanosleep
    newfstatat open openat poll ppoll pread64 preadv pselect6 read readlink readlinkat readv recvfrom recvmsg
    restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler
    sched_yield select set_robust_list set_tid_address setrlimit sigaltstack stat statfs fstatfs statx sysinfo
    time timer_create timer_delete timer_settime times uname write writev getitimer setitimer
"""
ALLOWED_SYSCALLS = frozenset(_ALLOWED_SYSCALLS.split())
"""System calls that decoding and face detection use. All others are denied with EPERM and logged by the kernel.

Record again after an upgrade of PyAV, MediaPipe, OpenCV or Python: ``python -m tests.tools.record_syscalls`` decodes
each clip of the tests under strace and prints the calls that are missing here. Calls that only read the state of this
process, and successors of listed calls, are listed although this machine does not use them.
"""

_CLONE_THREAD = 0x10000
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_NO_NEW_PRIVS = 1, 15, 16, 38
_PR_SET_VMA = 0x53564D41
"""Option of prctl that names own memory; MediaPipe does so for each thread."""
_FCNTL_COMMANDS = (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
"""Harmless commands. F_SETFL, F_SETOWN and F_SETSIG together send a signal to any process of the user."""
_TCGETS = 0x5401
"""Only request of ioctl: Python asks whether a file is a terminal."""
_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_ADD_RULE, _SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ALL_FILE_ACCESS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Bit mask of all kinds of file access per ABI version. Versions after 5 added none."""

_OPEN_FILES_MAX = 64

SINGLE_THREAD_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Environment of a process that will be confined: a thread that a library starts at import would escape."""


def die_with_parent(parent_pid: int) -> None:
    """Make the kernel kill this process if the parent dies. Exits if the parent is already dead."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def confine(*, memory_max_bytes: int, readable: Iterable[Path]) -> list[str]:
    """Confine this process irrevocably. Call it after the imports, while the process has one thread.

    Args:
        memory_max_bytes: Maximum address space.
        readable: Files and folders that stay readable in addition to Python and the system libraries.

    Returns:
        Active layers: ``limits``, on Linux also ``seccomp`` and, if the kernel has it, ``landlock``.

    Raises:
        OSError: The kernel refused a layer that it supports.
        RuntimeError: The process has more than one thread.
    """
    layers = []
    if sys.platform == "linux":
        # The import runs other programs to find libseccomp, so it precedes their denial. It is local because training
        # imports this module without having the package.
        import pyseccomp  # noqa: F401, PLC0415

        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise RuntimeError("A thread was started before the confinement and would escape from it.")
        libc = ctypes.CDLL(None, use_errno=True)
        _raise_on_error(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        if _restrict_files(libc, [*readable, *_system_paths()]):
            layers.append("landlock")
        _allow_syscalls()
        layers.append("seccomp")
    limits = {
        resource.RLIMIT_AS: memory_max_bytes,
        resource.RLIMIT_NOFILE: _OPEN_FILES_MAX,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
    return [*layers, "limits"]


def allow_cpu_seconds(seconds: float) -> None:
    """Limit the further processor time of this process. The kernel kills it beyond the limit."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _allow_syscalls() -> None:
    """Deny all system calls but those that the work needs (seccomp(2)), some of them only with these arguments."""
    import pyseccomp  # noqa: PLC0415

    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    with contextlib.suppress(OSError):  # kernels before 4.14 cannot log
        rules.set_attr(pyseccomp.Attr.CTL_LOG, 1)
    architecture = pyseccomp.system_arch()
    for name in sorted(ALLOWED_SYSCALLS):
        if pyseccomp.resolve_syscall(architecture, name) >= 0:  # not each processor has each call
            rules.add_rule(pyseccomp.ALLOW, name)
    for command in _FCNTL_COMMANDS:
        rules.add_rule(pyseccomp.ALLOW, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    rules.add_rule(pyseccomp.ALLOW, "ioctl", pyseccomp.Arg(1, pyseccomp.EQ, _TCGETS))
    for option in (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA):
        rules.add_rule(pyseccomp.ALLOW, "prctl", pyseccomp.Arg(0, pyseccomp.EQ, option))
    # Threads are needed, processes are not. seccomp cannot read the flags of clone3; without it libc uses clone.
    rules.add_rule(pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # abort() signals this process by its own id.
    rules.add_rule(pyseccomp.ALLOW, "tgkill", pyseccomp.Arg(0, pyseccomp.EQ, os.getpid()))
    rules.add_rule(pyseccomp.ALLOW, "prlimit64", pyseccomp.Arg(0, pyseccomp.EQ, 0))
    rules.load()


def _restrict_files(libc: ctypes.CDLL, readable: list[Path]) -> bool:
    """Deny all file access except reading these paths. Returns False if the kernel has no Landlock."""
    version = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    files = _ALL_FILE_ACCESS[min(version, max(_ALL_FILE_ACCESS))]
    # The attribute grew with the ABI version: files; from 4 TCP (bind, connect); from 6 scopes (sockets, signals).
    fields = 1 + (version >= 4) + (version >= 6)
    attribute = struct.pack("=QQQ", files, 0b11, 0b11)[: 8 * fields]
    ruleset = _raise_on_error(libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, attribute, ctypes.c_size_t(len(attribute)), 0))
    for path in readable:
        if path.exists():
            _allow_reading(libc, ruleset, path)
    _raise_on_error(libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    descriptor = os.open(path, os.O_PATH)
    rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
    rule = struct.pack("=Qi", rights, descriptor)
    _raise_on_error(libc.syscall(_SYS_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0))
    os.close(descriptor)


def _system_paths() -> list[Path]:
    python = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    system = [
        "/usr",
        "/lib",
        "/lib64",
        "/etc/ld.so.cache",
        "/sys/devices/system/cpu",
        "/dev/null",
        "/dev/urandom",
    ]
    process = [f"/proc/{os.getpid()}", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"]
    return [Path(path) for path in (*python, *system, *process)]


def _raise_on_error(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
