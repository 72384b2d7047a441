"""How well and how fast questions are told apart: `python -m loadtests.bench_categories [FILE]`.

Reads labelled questions (tab-separated `language category question` under a header), prints the accuracy, a confusion
table, the questions that were misjudged and the time of a build and of a call. Exit code 1 below 95 %.
"""

import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ouija_es.domain.categories import Classifier
from ouija_es.domain.vocabulary import Category, Language
from seeds import load_category_words

BAR: Final = 0.95
ROUNDS: Final = 20


class Labelled(NamedTuple):
    """A question, its language and what a person says it is about."""

    language: Language
    category: Category
    question: str


def read_labelled(path: Path) -> list[Labelled]:
    """The rows of a file of labelled questions; ValueError for a label that does not exist."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Labelled(Language(row["language"]), Category(row["category"]), row["question"]) for row in rows]


def confusion_table(pairs: Sequence[tuple[Category, Category]]) -> str:
    """Labels down, verdicts across."""
    counts = Counter(pairs)
    lines = ["label \\ verdict " + "".join(f"{category[:7]:>8}" for category in Category)]
    for label in Category:
        cells = "".join(f"{counts[label, verdict] or '.':>8}" for verdict in Category)
        lines.append(f"{label:<16}{cells}")
    return "\n".join(lines)


def microseconds_per_call(classifier: Classifier, labelled: Sequence[Labelled]) -> float:
    """Best of several rounds over all questions, so that a busy machine shows less."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for item in labelled:
            classifier.classify(item.question, item.language)
        best = min(best, time.process_time() - start)
    return best / len(labelled) * 1e6


def main(path: Path) -> int:
    words, labelled = load_category_words(), read_labelled(path)
    start = time.process_time()
    classifier = Classifier(words)
    classifier.prepare()
    build = time.process_time() - start
    verdicts = [classifier.classify(item.question, item.language) for item in labelled]
    right = Counter(item.language for item, verdict in zip(labelled, verdicts, strict=True) if verdict is item.category)
    asked = Counter(item.language for item in labelled)
    for item, verdict in zip(labelled, verdicts, strict=True):
        if verdict is not item.category:
            print(f"{item.language} is {item.category:<13} judged {verdict:<13} {item.question}")
    print(confusion_table([(item.category, verdict) for item, verdict in zip(labelled, verdicts, strict=True)]))
    for language in asked:
        print(f"{language}: {right[language]}/{asked[language]} = {right[language] / asked[language]:.1%}")
    accuracy = right.total() / asked.total()
    length = sum(len(item.question) for item in labelled) / len(labelled)
    print(f"all: {right.total()}/{asked.total()} = {accuracy:.1%} (bar {BAR:.0%})")
    print(f"{build * 1e3:.0f} ms of CPU to build")
    print(f"{microseconds_per_call(classifier, labelled):.1f} µs of CPU per call, {length:.0f} characters on average")
    return 0 if accuracy >= BAR else 1


if __name__ == "__main__":
    default = Path(__file__).with_name("labelled_questions.tsv")
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
