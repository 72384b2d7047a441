"""How well the self-harm screen hears: recall, precision, the misses, and the time of a call.

Reads `safety_questions.tsv` beside it (language, at_risk, question). Exit code 1 under 97 % recall or 95 % precision.
"""

import csv
import sys
import time
import timeit
from functools import partial
from pathlib import Path

from ouija_es.domain.safety import SafetyScreen
from ouija_es.domain.vocabulary import Language
from seeds import load_safety_words

RECALL, PRECISION = 0.97, 0.95


def ask_all(screen: SafetyScreen, questions: list[str]) -> None:
    for question in questions:
        screen.at_risk(question)


def main(path: Path) -> int:
    screen = SafetyScreen(load_safety_words())
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    recall, precision = (0.0, 0.0)
    for language in (None, *Language):
        mine = [row for row in rows if language in {None, row["language"]}]
        risky = {row["question"] for row in mine if row["at_risk"] == "yes"}
        heard = {row["question"] for row in mine if screen.at_risk(row["question"])}
        scores = len(risky & heard) / len(risky), len(risky & heard) / len(heard)
        print(f"{language or 'all'}: {len(mine)} questions, recall {scores[0]:.1%}, precision {scores[1]:.1%}")
        if language is None:
            recall, precision = scores
            for name, questions in (("missed", risky - heard), ("false alarm", heard - risky)):
                for question in sorted(questions):
                    print(f"  {name}: {question}")
    for name, sample in (
        ("the near misses", [row["question"] for row in rows if row["at_risk"] == "no"]),
        ("the questions at risk", [row["question"] for row in rows if row["at_risk"] == "yes"]),
        ("60 characters, no risk", ["¿Encontraré por fin el amor de mi vida en el próximo verano?"]),
        ("500 characters, no risk", [("¿Encontraré por fin el amor que quiero en el verano? " * 10)[:500]]),
    ):
        seconds = min(timeit.repeat(partial(ask_all, screen, sample), number=20, repeat=5, timer=time.process_time))
        print(f"{seconds / 20 / len(sample) * 1e6:.1f} µs a call ({name})")
    return int(recall < RECALL or precision < PRECISION)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("safety_questions.tsv")))
