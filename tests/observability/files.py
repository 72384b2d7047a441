"""Where the files under observability/ are, and what the rules among them say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "observability"
PROMETHEUS = OBSERVABILITY / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = OBSERVABILITY / "runbooks"


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of every file."""
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    """The rules that alert."""
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    """The names that the rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def objectives() -> set[str]:
    """The objectives that error budgets are recorded for."""
    return {rule["labels"]["objective"] for rule in rules() if rule.get("record", "").endswith("error_budget:ratio")}


def metrics_in(expression: str) -> set[str]:
    """The names of metrics that an expression asks for; label matchers, strings and comments are none."""
    bare = re.sub(r'"[^"]*"|#.*', "", expression)
    return set(re.findall(r"\b(?:ouija|process|python)_\w+|\w+:ouija_\w+:\w+", bare))


def panels() -> Iterator[dict[str, Any]]:
    """The panels of the dashboard, without the rows' headings."""
    for panel in json.loads((OBSERVABILITY / "grafana/ouija.json").read_text(encoding="utf-8"))["panels"]:
        if panel["type"] != "row":
            yield panel


def expressions() -> Iterator[str]:
    """What the panels ask for, with Grafana's variables filled in."""
    for expression, _ in targets():
        yield expression


def targets() -> Iterator[tuple[str, set[str]]]:
    """Expressions as above, and the labels that their legends name."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".+")
            yield expression, set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
