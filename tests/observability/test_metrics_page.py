"""observability/METRICS.md is what a running service shows."""

from scripts.write_metrics_docs import FILE, page


def test_the_page_of_metrics_is_what_is_scraped(scraped_text: str) -> None:
    stale = "run python -m scripts.write_metrics_docs"
    assert FILE.read_text(encoding="utf-8") == page(scraped_text), stale
