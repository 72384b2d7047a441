"""Tables of figures: printed while they grow, kept as JSON, put into docs/performance.md by `loadtests.report`."""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("BENCH_RESULTS") or ROOT / "loadtests/results")

Cell = str | float | int


@dataclass
class Table:
    """`name` is where the figures go in the document; a number is shown with as many digits as are worth reading."""

    name: str
    title: str
    header: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        print(f"\n{self.title}\n" + "  ".join(f"{text:>12}" for text in self.header), flush=True)

    def add(self, *cells: Cell) -> None:
        self.rows.append(list(cells))
        print("  ".join(f"{shown(cell):>12}" for cell in cells), flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(text, flush=True)

    def keep(self) -> None:
        """Writes the table beside the others, with the machine it was measured on."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        content = asdict(self) | {"machine": machine()}
        (FOLDER / f"{self.name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def shown(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def machine() -> dict[str, Any]:
    """What the figures depend on, among it how busy the machine was."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }
