"""What is written about the service is what it does."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_variables_are_documented_as_they_are() -> None:
    command = [sys.executable, "-m", "scripts.write_settings_docs", "--check"]
    check = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert check.returncode == 0, check.stdout + check.stderr
