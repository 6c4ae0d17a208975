"""Reading of processes that may end at any moment."""

from pathlib import Path

import psutil


def command_line(process: psutil.Process) -> str:
    """Return the command line of a process; empty if it has ended, which a parent may not have noticed (a zombie)."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def crash_postgres(folder: Path) -> None:
    """Kill a connection of the server with its data below the folder: it recovers as after a power cut."""
    (process_file,) = folder.rglob("postmaster.pid")
    server = psutil.Process(int(process_file.read_text().splitlines()[0]))
    backend = next(child for child in server.children() if "idle" in command_line(child))
    backend.kill()
