"""Every gate of the load test can be missed, each by what it is for and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from loadtests.gates import Run, Seen, missed
from loadtests.scenarios import ASK, HEALTH, METRICS, SCENARIOS
from loadtests.server_numbers import ServerNumbers, read

WELL = Seen(requests=3_000, failures=0, p50_ms=60, p95_ms=200, p99_ms=300)
RUN = Run(
    seconds=300,
    named={ASK: WELL, HEALTH: WELL, METRICS: WELL},
    expected=(ASK, HEALTH, METRICS),
    sources={"groq": 2_990, "database": 10},
    shares={"groq": (0.95, 1.0), "database": (0.0, 0.05)},
    least_asks_per_second=5,
    server=ServerNumbers({"groq": 2_991, "database": 10}, answers_within_10s=3_001),
    alone=True,
    visitors=20,
)


def seen(name: str, **other: float) -> dict[str, Any]:
    return {"named": {**RUN.named, name: replace(WELL, **other)}}


def test_a_run_that_is_well_misses_none() -> None:
    assert missed(RUN) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (seen(ASK, p95_ms=10_000), f"{ASK}: p95 10000 ms, must be under 10000"),
        (seen(HEALTH, p99_ms=1_000), f"{HEALTH}: p99 1000 ms, must be under 1000"),
        (seen(METRICS, failures=3), f"{METRICS}: 3 of 3000 failed, must be under 0.1%"),
        (seen(ASK, failures=3), f"{ASK}: 3 of 3000 failed, must be under 0.1%"),
        (seen("POST /ouija/ask, streamed", failures=30), "POST /ouija/ask, streamed: 30 of 3000 failed"),
        ({"named": {ASK: WELL, METRICS: WELL}}, f"{HEALTH}: no samples"),
        (seen(HEALTH, requests=0), f"{HEALTH}: no samples"),
        ({"seconds": 3_000}, "rate: 1.00 asks/s, must reach 5.00"),
        ({"sources": {"groq": 2_800, "database": 150}}, "sources: 94.9% of 2950 answers from groq"),
        ({"sources": {"groq": 2_830, "database": 150}}, "sources: 5.0% of 2980 answers from database"),
        ({"sources": {}}, "sources: no answers"),
        ({"server": None}, "server: /metrics did not tell what it counted"),
        ({"server": ServerNumbers({"groq": 2_991, "database": 10}, 2_000)}, "server: 2000 of its 3001 answers within"),
        (
            {"server": ServerNumbers({"groq": 2_980, "database": 10}, 2_990)},
            "server: counted 2980 answers from groq, clients got 2990",
        ),
        (
            {"server": ServerNumbers({"groq": 3_020, "database": 10}, 3_030)},
            "server: counted 30 answers more than clients got; at most 20",
        ),
        ({"moods_missed": ["stubs: groq refused"]}, "stubs: groq refused"),
    ],
    ids=str,
)
def test_each_gate_can_be_missed(changed: dict[str, Any], line: str) -> None:
    lines = missed(replace(RUN, **changed))

    assert any(told.startswith(line) for told in lines), lines


def test_other_clients_explain_what_the_server_counted_more() -> None:
    busy = ServerNumbers({"groq": 9_000, "database": 10}, 9_010)

    assert missed(replace(RUN, server=busy, alone=False)) == []


def test_a_run_without_asks_is_not_measured_by_asks() -> None:
    run = replace(RUN, named={HEALTH: WELL}, expected=(HEALTH,), sources={}, server=None)

    assert missed(run) == []


def test_the_servers_numbers_are_read_from_its_histogram() -> None:
    exposition = """# TYPE ouija_answer_duration_seconds histogram
ouija_answer_duration_seconds_bucket{le="7.5",source="groq"} 8.0
ouija_answer_duration_seconds_bucket{le="10.0",source="groq"} 9.0
ouija_answer_duration_seconds_bucket{le="+Inf",source="groq"} 10.0
ouija_answer_duration_seconds_count{source="groq"} 10.0
ouija_answer_duration_seconds_bucket{le="10.0",source="database"} 5.0
ouija_answer_duration_seconds_bucket{le="+Inf",source="database"} 5.0
ouija_answer_duration_seconds_count{source="database"} 5.0
# TYPE other counter
other_total 3.0
"""
    before = ServerNumbers({"groq": 4}, 4)

    assert read(exposition).since(before) == ServerNumbers({"groq": 6, "database": 5}, 10)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_keeps_its_form_in_another_time(name: str) -> None:
    scenario = SCENARIOS[name]
    short = scenario.lasting(scenario.seconds / 10)

    assert short.seconds == pytest.approx(scenario.seconds / 10)
    assert [stage.visitors for stage in short.stages] == [stage.visitors for stage in scenario.stages]
    assert all(mood.second <= short.seconds for mood in short.moods)
