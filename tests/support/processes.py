"""Reading of processes that may end at any moment."""

import psutil


def command_line(process: psutil.Process) -> str:
    """Return the command line of a process; empty if it has ended, which a parent may not have noticed (a zombie)."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
