"""Writes `.env.example` and the README's table of variables from the settings class.

`python -m scripts.write_settings_docs`; with `--check` it writes nothing and exits 1 if they are stale.
"""

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from ouija_es.config import Settings, is_secret

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- variables: begin -->", "<!-- variables: end -->"


def main() -> int:
    """Exit code 0, or 1 if a check found something stale."""
    readme = ROOT / "README.md"
    wanted = {ROOT / ".env.example": env_example(), readme: with_table(readme.read_text(encoding="utf-8"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path.name} is not what ouija_es/config.py says: run python -m scripts.write_settings_docs")
        else:
            path.write_text(wanted[path], encoding="utf-8")
            print(f"wrote {path.name}")
    return 1 if stale and "--check" in sys.argv else 0


def env_example() -> str:
    """All of `.env.example`."""
    lines = [
        "# Every variable with its default; all are optional. A secret also comes from a file: NAME_FILE=/run/secrets/x"
    ]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {(field.description or '').replace('`', '')}"]
        lines += [f"#{name.upper()}={default(field)}"]
    return "\n".join(lines) + "\n"


def with_table(readme: str) -> str:
    """The README with its table of variables made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        later = f" *(checked, without effect yet: {extra['later']})*" if isinstance(extra, dict) else ""
        secret = "secret; " if is_secret(field) else ""
        shown = f"`{default(field)}`" if default(field) else "–"
        rows.append(f"| `{name.upper()}` | {shown} | {secret}{field.description}{later} |")
    return f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n{END}{after}"


def default(field: FieldInfo) -> str:
    """A default as it would be written in the environment."""
    return "" if field.default is None else str(field.default)


if __name__ == "__main__":
    raise SystemExit(main())
