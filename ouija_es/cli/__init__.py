"""The command line. Exit codes: 0 done, 1 it could not be done or the check failed, 2 wrong usage or settings.

A file a group of commands; what a command needs is imported when it runs.
"""

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    os.umask(0o077)  # what is written here tells about people
    gc.set_threshold(100_000, 50, 100)  # a pass over the log holds thousands of rows at a time, and no garbage
    # Not above: what an import makes stays, and was looked through for garbage eighty times.
    from ouija_es.cli.parser import parser
    from ouija_es.config import ConfigError, read_settings
    from ouija_es.errors import OuijaError

    options = parser().parse_args(arguments)
    try:
        return int(options.command(options, read_settings()))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except OuijaError as error:
        print(f"ouija-es: {error}", file=sys.stderr)
        return 1
