"""Writes `ouija.json`, the Grafana dashboard, from the panels in `contents.py`.

`python -m observability.grafana.dashboard`; with `--check` it writes nothing and exits 1 if the file is stale.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

from observability.grafana.contents import ROWS
from observability.grafana.panels import Panel, Query, Shape, Unit

FILE = Path(__file__).with_name("ouija.json")
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24
GRAPH_HEIGHT, NUMBER_HEIGHT = 8, 4


def main() -> int:
    """Exit code 0, or 1 if a check found the file stale."""
    text = generated()
    if "--check" in sys.argv:
        fresh = FILE.exists() and FILE.read_text(encoding="utf-8") == text
        if not fresh:
            print(f"{FILE.name} is not what contents.py says: run python -m observability.grafana.dashboard")
        return 0 if fresh else 1
    FILE.write_text(text, encoding="utf-8")
    return 0


def generated() -> str:
    """The JSON that Grafana reads."""
    whole = (
        dashboard.Dashboard("ouija_es")
        .uid("ouija-es")
        .description("A virtual Ouija board's backend: what is asked, who answers, and how its event store is.")
        .tags(["ouija_es"])
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("Instance")
            .datasource(SOURCE)
            .query('label_values(ouija_build_info{job="ouija"}, instance)')
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    )
    for title, panels in ROWS.items():
        whole.with_row(dashboard.Row(title))
        width = WIDTH // 6 if panels[0].shape is Shape.NUMBER else WIDTH // 2
        for panel in panels:
            whole.with_panel(_number(panel, width) if panel.shape is Shape.NUMBER else _graph(panel, width))
    built = whole.build()
    for number, each in enumerate(built.panels or [], start=1):
        each.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _number(panel: Panel, width: int) -> stat.Panel:
    built = (
        stat.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(width)
        .height(NUMBER_HEIGHT)
        .no_value("–")
        .thresholds(_thresholds(panel))
    )
    for target in _targets(panel):
        built.with_target(target)
    return built


def _graph(panel: Panel, width: int) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(width)
        .height(GRAPH_HEIGHT)
        .legend(legend)
        .show_points(VisibilityMode.NEVER)
        .thresholds(_thresholds(panel))
    )
    if panel.unit is Unit.SWITCH:
        built.max(1)
    if panel.red_above is not None:
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
    if panel.shape is Shape.STACK:
        built.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A")).fill_opacity(30)
    for target in _targets(panel):
        built.with_target(target)
    return built


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color="green")]
    if panel.red_above is not None:
        steps.append(Threshold(value=panel.red_above, color="red"))
    if panel.red_below is not None:
        steps = [Threshold(value=None, color="red"), Threshold(value=panel.red_below, color="green")]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _targets(panel: Panel) -> list[prometheus.Dataquery]:
    return [_target(number, query, panel.shape) for number, query in enumerate(panel.queries)]


def _target(number: int, query: Query, shape: Shape) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(query.expression).legend_format(query.legend)
    if shape is Shape.NUMBER:
        return target.instant()
    return target.range().exemplar("histogram_quantile" in query.expression)


if __name__ == "__main__":
    raise SystemExit(main())
