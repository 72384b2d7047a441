"""What the service takes of the machine."""

import re
from pathlib import Path

import pytest

from tests.service import RunningService

THP = re.compile(r"^THP_enabled:\s+(\d)$", re.MULTILINE)


@pytest.mark.skipif(
    not Path("/proc/self/status").exists() or not THP.search(Path("/proc/self/status").read_text()),
    reason="platform: only Linux tells whether a process may have huge pages",
)
def test_it_takes_no_huge_pages(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        assert THP.findall(Path(f"/proc/{service.process.pid}/status").read_text()) == ["0"]
