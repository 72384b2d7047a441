"""The audit API's lists: every session once, every event as it is stored, page by page."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from cloudevents.core.formats.json import JSONFormat
from falcon.testing import ASGIConductor

from ouija_es.app import create_app
from ouija_es.config import Settings
from ouija_es.readiness import Readiness
from ouija_es.resources.audit_lists import CHUNK_EVENTS
from ouija_es.store.cloudevents import CloudEvent, NotALine, from_line, to_line
from ouija_es.store.ledger import GENESIS, LogRow, link_of
from ouija_es.store.rows import log_rows
from tests.service import AUDIT_TOKEN, RunningService

AUDITOR = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
SESSIONS = 12


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("data"), ERASURE_TOKEN="erasure-token-of-the-tests") as running:
        running.opened = [ask(running) for _ in range(SESSIONS)]
        yield running


def ask(service: RunningService, **fields: Any) -> str:
    return service.ask("¿Quién va?", **fields).raise_for_status().json()["sessionId"]


def get(service: RunningService, path: str, **query: Any) -> httpx.Response:
    return service.client.get(path, params=query, headers=AUDITOR)


def sessions(service: RunningService, **query: Any) -> tuple[list[dict[str, Any]], str | None]:
    page = get(service, "/audit/sessions", **query).raise_for_status().json()
    return page["sessions"], page["next"]


def stored(service: RunningService) -> list[LogRow]:
    with log_rows(service.database) as log:
        return log.after(0)


# -- sessions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 5, SESSIONS - 1, SESSIONS, SESSIONS + 1, 200])
def test_page_by_page_every_session_comes_once_newest_first(service: RunningService, limit: int) -> None:
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while query:
        page, following = sessions(service, **query)
        assert len(page) == limit or following is None
        found += [row["sessionId"] for row in page]
        query = {"limit": limit, "cursor": following} if following else {}
    assert found == service.opened[::-1]


def test_a_session_is_in_the_list_as_soon_as_it_is_answered(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        for number in range(1, 6):
            session = ask(service)
            (newest, *_), _ = sessions(service)
            assert newest["sessionId"] == session
            ask(service, sessionId=session)
            page, following = sessions(service)
            assert [row["questions"] for row in page] == [2] * number
            assert following is None


def test_a_session_says_when_it_was_and_whether_it_is_erased(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session = ask(service)
        (before,), _ = sessions(service)
        service.client.delete(f"/ouija/sessions/{session}").raise_for_status()
        (after,), _ = sessions(service)
        at = {row.topic: json.loads(row.state)["at"] for row in stored(service)}
    assert before.keys() == {"sessionId", "openedAt", "lastAt", "questions", "erasedAt"}
    assert before["openedAt"] == before["lastAt"] == at["ouija.Asked.v1"]
    assert before["erasedAt"] is None
    assert after == before | {"erasedAt": at["ouija.Erased.v1"]}


def test_an_older_page_stays_the_same_while_newer_sessions_come(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        opened = [ask(service) for _ in range(4)]
        _, following = sessions(service, limit=2)
        for _ in range(3):
            ask(service)
            page, _ = sessions(service, limit=2, cursor=following)
            assert [row["sessionId"] for row in page] == opened[1::-1]


# -- events ---------------------------------------------------------------------------------------------------------


def test_every_row_is_a_cloudevent_by_the_specification_s_own_library(service: RunningService) -> None:
    rows = stored(service)
    lines = get(service, "/audit/events").raise_for_status().content.splitlines(keepends=True)
    del lines[len(rows) :]  # the service may have sealed the log meanwhile
    assert len(rows) > 5 * SESSIONS
    for line, row in zip(lines, rows, strict=True):
        event = JSONFormat().read(None, line)
        assert event.get_specversion() == "1.0"
        assert event.get_id() == f"{row.stream}/{row.version}"
        assert event.get_source() == "urn:ouija-es:log"
        assert event.get_type() == row.topic
        assert event.get_subject() == str(UUID(row.stream))
        assert event.get_datacontenttype() == "application/json"
        assert event.get_data() == json.loads(row.state)
        assert event.get_time().isoformat().replace("+00:00", "Z") == json.loads(row.state)["at"]
        assert event.get_extension("position") == row.position
        assert event.get_extension("streamversion") == row.version
        assert event.get_extension("link") == row.link.hex()


def test_the_chain_can_be_computed_from_the_lines_alone(service: RunningService) -> None:
    before, position = GENESIS, 0
    for line in get(service, "/audit/events").content.splitlines():
        row = from_line(line)
        assert row.position == position + 1
        assert link_of(before, row.position, row) == row.link
        before, position = row.link, row.position


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_following_the_link_gives_the_whole_log_once(service: RunningService, limit: int) -> None:
    whole = get(service, "/audit/events").content
    found, address = b"", f"/audit/events?limit={limit}"
    while address:
        response = service.client.get(address, headers=AUDITOR).raise_for_status()
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.content.count(b"\n") <= limit
        found += response.content
        address = response.links.get("next", {}).get("url", "")
    assert found.startswith(whole)  # the service may have sealed the log meanwhile


def test_behind_the_end_there_is_nothing_yet_and_then_what_was_added(service: RunningService) -> None:
    head = stored(service)[-1].position
    for beyond in (head + 1_000, 2**63 - 1):
        response = get(service, "/audit/events", after=beyond)
        assert (response.status_code, response.content) == (200, b"")
        assert "next" not in response.links
    service.opened.append(ask(service))
    added = [from_line(line) for line in get(service, "/audit/events", after=head).content.splitlines()]
    assert added == stored(service)[head : head + len(added)]
    assert "ouija.Answered.v1" in {row.topic for row in added}


def test_texts_stay_sealed(service: RunningService) -> None:
    assert "¿Quién va?" not in get(service, "/audit/events").text


def test_what_is_damaged_is_told_as_it_is_stored(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        ask(service)
        with closing(sqlite3.connect(service.database)) as other:
            other.execute("UPDATE stored_events SET state=X'00ff0a' WHERE position=3")
            other.commit()
        lines = get(service, "/audit/events").raise_for_status().content.splitlines()
        rows = stored(service)[: len(lines)]
        with closing(sqlite3.connect(service.database)) as other:
            other.execute("UPDATE stored_events SET link='' WHERE position=4")
            other.commit()
        refused = get(service, "/audit/events")
    assert [from_line(line) for line in lines] == rows
    assert JSONFormat().read(None, lines[2]).get_data() == b"\x00\xff\n"
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:ouija-es:problem:not-readable")
    assert "position 4" in refused.json()["detail"]


def test_a_page_that_cannot_be_finished_is_broken_off_and_not_just_short(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        while len(stored(service)) <= CHUNK_EVENTS + 5:
            ask(service)
        with closing(sqlite3.connect(service.database)) as other:
            other.execute("UPDATE stored_events SET link='' WHERE position=?", [CHUNK_EVENTS + 3])
            other.commit()
        with pytest.raises(httpx.RemoteProtocolError):
            get(service, "/audit/events")
        assert get(service, "/audit/events", limit=CHUNK_EVENTS).content.count(b"\n") == CHUNK_EVENTS
        assert service.ask("hola").status_code == 200


ROW = LogRow(
    7, "019c13404a807000800000000000aa01", 2, "ouija.Withdrawn.v1", b'{"at":"2026-01-31T12:00:00Z"}', b"\1" * 32
)


@pytest.mark.parametrize(
    "state",
    [b"", b"null", b"{}", b'{"at":1}', b'{"at":"x"} ', b' {"at":"x"}', b'{"at":\n"x"}', b'{"at":"\xff"}', b'{"at":"x"'],
)
def test_whatever_is_stored_comes_back_from_its_line(state: bytes) -> None:
    row = ROW._replace(state=state)
    line = to_line(row)
    assert line.index(b"\n") == len(line) - 1
    assert from_line(line) == row


def test_spaces_and_the_order_of_keys_make_no_difference() -> None:
    event = json.loads(to_line(ROW))
    data = ROW.state.decode()
    other = json.dumps(dict(reversed(event.items())) | {"data": 0, "partitionkey": "1"}, indent=1)
    assert from_line(other.replace('"data": 0', f'"data" : {data}').encode()) == ROW


@pytest.mark.parametrize("key", [*CloudEvent.__struct_fields__])
@pytest.mark.parametrize("value", [None, "", "x", 1, {}, "019c1340-4a80-7000-8000-0000000000aa", "a/1", "00" * 32])
def test_a_line_that_contradicts_its_data_is_refused(key: str, value: Any) -> None:
    """What is part of the row itself is for the chain of links to find."""
    event = json.loads(to_line(ROW))
    spoiled = json.dumps(event | {key: value}).encode()
    try:
        row = from_line(spoiled)
    except NotALine:
        return
    assert key in ("type", "position", "link", "data_base64")
    assert row != ROW or key == "data_base64"  # `data` counts


@pytest.mark.parametrize("line", [b"", b"\n", b"[]", b"{", b"\xff\xfe", to_line(ROW)[:-20], to_line(ROW) * 2])
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(NotALine):
        from_line(line)


# -- the query ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        *(
            ("/audit/sessions", f"limit={value}", "limit")
            for value in ("0", "201", "-1", "1.0", "x", "", "²", "9" * 30)
        ),
        *(
            ("/audit/sessions", f"cursor={value}", "cursor")
            for value in ("", "7", "f" * 16, "0" * 15, "g" * 16, "ñ", "0" * 99)
        ),
        *(("/audit/events", f"limit={value}", "limit") for value in ("0", "1001", "-1", "1e3", "", "+1", "limit")),
        *(("/audit/events", f"after={value}", "after") for value in ("-1", "x", "", "1.5", "9" * 20)),
        ("/audit/events", "after=1&after=2", "after"),
        ("/audit/sessions", "limit=1&limit=2", "limit"),
    ],
)
def test_a_wrong_parameter_is_told(service: RunningService, path: str, query: str, field: str) -> None:
    response = service.client.get(f"{path}?{query}", headers=AUDITOR)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize("path", ["/audit/sessions", "/audit/events"])
async def test_the_lists_want_the_audit_token(service: RunningService, tmp_path: Path, path: str) -> None:
    assert service.client.get(path).status_code == 401
    for token in ("erasure-token-of-the-tests", "wrong"):
        assert service.client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    without = Settings(database_url=f"file:{tmp_path / 'ouija.db'}", ollama_url="")
    async with ASGIConductor(create_app(without, Readiness())) as conductor:
        assert (await conductor.simulate_get(path, headers=AUDITOR)).status_code == 404
