"""`python -m ouija_es`."""

from ouija_es.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
