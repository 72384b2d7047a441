"""What a panel shows: a title, what it tells, a unit, and what is asked of Prometheus. No layout, nothing of Grafana's.

`$instance` is Grafana's variable: one instance at a time, since what is folded from the log is the same in each.
"""

from dataclasses import dataclass
from enum import StrEnum

INSTANCE = 'job="ouija", instance=~"$instance"'


class Unit(StrEnum):
    """Grafana's ids of the units in use."""

    COUNT = "short"
    PER_SECOND = "cps"
    PER_MINUTE = "cpm"
    SHARE = "percentunit"
    SECONDS = "s"
    BYTES = "decbytes"
    TIMES = "suffix:×"
    SWITCH = "bool_on_off"


class Shape(StrEnum):
    """How a panel is drawn."""

    NUMBER = "number"
    LINES = "lines"
    STACK = "stack"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the legend of its series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; it turns red above one limit or below another."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    shape: Shape = Shape.LINES
    red_above: float | None = None
    red_below: float | None = None


def per_minute(metric: str, by: str, *more: str) -> str:
    """The rate of a counter's series per minute, by one or more labels; `more` are matchers."""
    return f"sum by ({by}) (rate({metric}{{{', '.join([INSTANCE, *more])}}}[$__rate_interval])) * 60"


def quantiles(metric: str, by: str = "", *more: str) -> tuple[Query, ...]:
    """Half, 95 % and 99 % of a histogram's durations are shorter than these, by a label."""
    legend = f"{{{{{by}}}}} " if by else ""
    labels = f"{by}, le" if by else "le"
    rate = f"sum by ({labels}) (rate({metric}_bucket{{{', '.join([INSTANCE, *more])}}}[$__rate_interval]))"
    return tuple(Query(f"histogram_quantile({q}, {rate})", f"{legend}p{round(q * 100)}") for q in (0.5, 0.95, 0.99))
