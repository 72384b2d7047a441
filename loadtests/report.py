"""Puts the kept figures into docs/performance.md, each between the marks of its name: `python -m loadtests.report`.

A table that was not measured stays as it is. Exit code 1 if a name has no place in the document.
"""

import json
import re
from typing import Any

from loadtests.results import FOLDER, ROOT, shown

DOCUMENT = ROOT / "docs/performance.md"


def main() -> int:
    text = DOCUMENT.read_text(encoding="utf-8")
    homeless = []
    for file in sorted(FOLDER.glob("*.json")):
        table = json.loads(file.read_text(encoding="utf-8"))
        marks = re.compile(rf"(<!-- {table['name']}: begin -->\n).*?(<!-- {table['name']}: end -->)", re.DOTALL)
        if not marks.search(text):
            homeless.append(table["name"])
        text = marks.sub(lambda found, table=table: found[1] + rendered(table) + found[2], text)
    DOCUMENT.write_text(text, encoding="utf-8")
    for name in homeless:
        print(f"{DOCUMENT.name} has no place for {name}")
    return 1 if homeless else 0


def rendered(table: dict[str, Any]) -> str:
    """A table in Markdown, numbers to the right, with its notes and what it was measured on."""
    numbers = [all(not isinstance(row[n], str) for row in table["rows"]) for n in range(len(table["header"]))]
    lines = ["| " + " | ".join(table["header"]) + " |", "|" + "|".join("---:" if it else "---" for it in numbers) + "|"]
    lines += ["| " + " | ".join(map(shown, row)) + " |" for row in table["rows"]]
    at = table["machine"]
    machine = f"{at['processor']}, {at['cores']} cores, {at['system']}, Python {at['python']}"
    told = [f"{note[:1].upper()}{note[1:]}." for note in table["notes"]]
    told.append(f"*{at['at']} UTC, load {at['load']} at the end; {machine}.*")
    return "\n".join([*lines, "", " ".join(told), ""])


if __name__ == "__main__":
    raise SystemExit(main())
