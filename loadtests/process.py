"""What /proc tells about a process: processor time by thread, memory; and where it may run."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its ended threads included."""
    return _seconds(Path(f"/proc/{pid}/stat"))


def family_cpu_seconds(pid: int) -> float:
    """As `cpu_seconds`, with the processes it started and those they started."""
    return sum(map(cpu_seconds, family(pid)))


def family(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def thread_seconds(pid: int) -> dict[int, tuple[str, float]]:
    """Name and processor time of each living thread."""
    threads = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        threads[int(task.name)] = (name, _seconds(task / "stat"))
    return threads


def memory_mb(pid: int) -> float:
    """Resident memory in 10⁶ bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def family_memory_mb(pid: int) -> float:
    return sum(map(memory_mb, family(pid)))


def pin(pid: int, cores: list[int]) -> None:
    """Every thread of a process and of those it started onto these cores; later threads inherit that."""
    for process in family(pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
