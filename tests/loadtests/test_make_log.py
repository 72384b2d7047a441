"""A made log is one that the service goes on with."""

from itertools import count, pairwise
from pathlib import Path

from loadtests.make_log import make_log
from ouija_es.store.ledger import GENESIS, link_of
from ouija_es.store.rows import log_rows
from tests.service import RunningService


def test_the_service_goes_on_with_a_made_log(tmp_path: Path) -> None:
    make_log(tmp_path / "ouija.db", 400)

    with log_rows(tmp_path / "ouija.db") as rows:
        made = rows.after(0)
    assert len(made) == 400
    links = [GENESIS, *(row.link for row in made)]
    assert all(
        link_of(before, number, row) == own
        for (before, own), number, row in zip(pairwise(links), count(1), made, strict=False)
    )
    with RunningService(tmp_path) as service:
        assert service.ask("Anybody there?").status_code == 200
        totals = service.client.get("/dashboard").json()["totals"]
        assert totals["questions"] == 101
        assert totals["answers"]["groq"] == 100
        assert totals["sessions"] == 35
