"""What can be said on the command line."""

import argparse
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from ouija_es import __version__
from ouija_es.cli.audit import show
from ouija_es.cli.data import backup, keys, rebuild, seed
from ouija_es.cli.erasing import erase, server_url
from ouija_es.cli.exporting import export_log, import_log, position
from ouija_es.cli.replaying import replay
from ouija_es.cli.serving import serve
from ouija_es.cli.verifying import head, head_of, verify
from ouija_es.config import Settings

Command = Callable[[argparse.Namespace, Settings], int]


def parser() -> argparse.ArgumentParser:
    """Parses the command line; `command` of what it gives is the function that runs."""
    top = argparse.ArgumentParser(prog="ouija-es", description="A virtual Ouija board's backend.")
    top.add_argument("--version", action="version", version=f"ouija_es {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str, *, to: object = commands) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = to.add_parser(name, help=text, description=text)  # type: ignore[attr-defined]
        sub.set_defaults(command=command)
        return sub

    add("serve", serve, "Serve HTTP on HOST:PORT until SIGTERM or SIGINT.")
    add("seed", seed, "Write the canned answers into the database.")
    keys_parser = add("keys", keys, "Show where the keys in force come from; make the key files if there are none.")
    keys_parser.add_argument("--new", action="store_true", help="print a fresh VAULT_KEY and LEDGER_KEY instead")
    backup_parser = add("backup", backup, "Copy the database to FILE, also while the service runs. Keys are not in it.")
    backup_parser.add_argument("file", type=Path, metavar="FILE")
    add("rebuild", rebuild, "Fold the log into new views; a running service takes them over when they are done.")
    erase_parser = add("erase", erase, "Erase a session's texts for good: here, or through the server that runs here.")
    erase_parser.add_argument("session", type=UUID, metavar="SESSION")
    erase_parser.add_argument("--url", type=server_url, help="through the server there; wants ERASURE_TOKEN")
    audit = commands.add_parser("audit", help="Read what was recorded.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    show_parser = add("show", show, "Print a session's history as a timeline.", to=audit)
    show_parser.add_argument("session", type=UUID, metavar="SESSION")
    export_parser = add(
        "export", export_log, "Write the log as CloudEvents, one a line, to FILE or standard output.", to=audit
    )
    export_parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="goes on behind the last line of it")
    export_parser.add_argument("--after", type=position, metavar="POSITION", help="begin behind this position")
    export_parser.add_argument("--gzip", action="store_true", help="pack it")
    export_parser.add_argument(
        "--with-vault",
        type=Path,
        metavar="VAULTFILE",
        help="write the wrapped session keys, too, to a file of their own",
    )
    import_parser = add(
        "import", import_log, "Make the database of an export, where nothing is recorded yet.", to=audit
    )
    import_parser.add_argument("file", type=Path, metavar="FILE", help="an export, packed or not; - is standard input")
    import_parser.add_argument(
        "--with-vault",
        type=Path,
        metavar="VAULTFILE",
        help="the session keys; wants the vault key they are wrapped under",
    )
    import_parser.add_argument("--expect-head", metavar="POSITION:HASH", help="refuse an export that ends elsewhere")
    replay_parser = add("replay", replay, "Make the fallback's decisions again from the record.", to=audit)
    which = replay_parser.add_mutually_exclusive_group(required=True)
    which.add_argument("session", nargs="?", type=UUID, metavar="SESSION")
    which.add_argument("--all", action="store_true", help="every question of the log")
    verify_parser = add(
        "verify",
        verify,
        "Check a log from its first event to its last; exit code 1 at the first that is wrong.",
        to=audit,
    )
    verify_parser.add_argument(
        "source", metavar="FILE|URL", help="a database, a backup, an export, or a running service"
    )
    verify_parser.add_argument(
        "--public-key", action="append", default=[], metavar="KEY", help="whose seals count, base64url; may be repeated"
    )
    verify_parser.add_argument(
        "--expect-head",
        type=head_of,
        action="append",
        default=[],
        metavar="POSITION:HASH",
        help="what was noted earlier and must be there; may be repeated",
    )
    verify_parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="holds the audit token, else AUDIT_TOKEN"
    )
    head_parser = add("head", head, "Print the last event's position and hash: note it elsewhere.", to=audit)
    head_parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a database; else the configured one")
    return top
