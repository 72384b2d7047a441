"""`ouija-es audit replay`: the fallback's decisions made again from the record."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ouija_es.config import Settings
from ouija_es.errors import StartError

if TYPE_CHECKING:
    from ouija_es.replaying import Replay


def replay(options: argparse.Namespace, settings: Settings) -> int:
    """Replays a session or all there is, also beside a running service; 1 if a decision differs."""
    from ouija_es.cli.progress import progress
    from ouija_es.replaying import replay_all, replay_session
    from ouija_es.store.rows import log_rows

    if not settings.database_path.exists():
        raise StartError(f"there is no database: {settings.database_path}")
    with log_rows(settings.database_path) as log:
        if options.session is None:
            with progress(log.head()) as show:
                replayed = replay_all(log, show)
        else:
            replayed = replay_session(log, options.session)
    if options.session is not None and not replayed.questions:
        raise StartError("no question of this session is recorded")
    for line in report(replayed):
        print(line)
    return 1 if replayed.differing else 0


def report(replayed: "Replay") -> Iterator[str]:
    """The outcome in lines, the most important first."""
    from ouija_es.timeline import shown

    counts = replayed.counts
    if replayed.first is not None:
        place = replayed.first
        yield f"differs at position {place.position}, question {shown(place.stream)}"
        yield f"  recorded  {shown(place.difference.recorded)}"
        yield f"  decided   {shown(place.difference.decided)}"
        yield f"{_many(replayed.differing, 'question')} of {replayed.questions} with a difference"
    else:
        yield f"identical: {_many(replayed.questions, 'question')}, {_many(counts.decided, 'decision')} made again"
    if counts.straight:
        yield f"  {counts.straight} went straight to the table, as those about self-harm do; their texts are sealed"
    for number, how in (
        (replayed.withdrawn, "withdrawn"),
        (replayed.abandoned, "abandoned"),
        (replayed.under_way, "under way"),
    ):
        if number:
            yield f"  {number} {how}: followed as far as recorded"
    if counts.undecidable:
        yield f"  {_many(counts.undecidable, 'decision')} not decidable: an older version did not record all they saw"
    if replayed.undecided:
        yield f"  {_many(replayed.undecided, 'question')} not decidable: the policy of the process is not recorded"


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
