"""Writes the bytecode that the image starts from: `PYTHONPYCACHEPREFIX=CACHE python scripts/precompile.py FOLDER...`.

The image's Python has no bytecode of its own library, and where the service runs nothing may be written: each start
would compile two hundred modules anew. So the service runs here once, is asked a question with traces on, and what it
has imported of the library is compiled, and everything in the folders. Exit code 1 if it does not start or answer.
"""

import compileall
import importlib.util
import os
import signal
import socket
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path
from py_compile import PycInvalidationMode, compile  # noqa: A004 - by its own name

import smoke

# Python takes such bytecode as it is, whatever times the layers give the sources.
AS_IT_IS = PycInvalidationMode.UNCHECKED_HASH
START_SECONDS = 120


class Visitor(threading.Thread):
    """Asks one question as soon as the service is well, then ends this process's service by SIGTERM."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.problem: str | None = "the service ended before it was asked"

    def run(self) -> None:
        """Leaves in `problem` what went wrong, or None."""
        try:
            smoke.wait_until_well(self._url, None, START_SECONDS)
            smoke.ask(self._url)
            self.problem = None
        except smoke.Unwell as unwell:
            self.problem = str(unwell)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)


def rehearse(folder: str) -> str | None:
    """Runs the service once, with its data in `folder`; what went wrong, or None."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": f"file:{folder}/ouija.db",
        "ENVIRONMENT": "production",
        "OLLAMA_URL": "http://127.0.0.1:9",
        "GROQ_URL": "http://127.0.0.1:9",
        "GROQ_API_KEY": "nobody-listens-there",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    from ouija_es.cli import main  # noqa: PLC0415 - after the settings

    visitor = Visitor(f"http://127.0.0.1:{port}")
    visitor.start()
    try:
        main(["serve"])
    except SystemExit as end:
        if end.code:
            return f"the service ended with code {end.code}"
    visitor.join()
    return visitor.problem


def sources(library: Path) -> set[Path]:
    """The files of Python's own library that are imported by now."""
    files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    return {file for file in files if file.suffix == ".py" and file.is_relative_to(library)}


def main_program(folders: list[str]) -> int:
    """Exit code 0, or 1 if the service does not run or a file does not compile."""
    sys.dont_write_bytecode = True  # in the rehearsal: it would be checked against times
    with tempfile.TemporaryDirectory() as data:
        problem = rehearse(data)
    if problem is not None:
        print(f"precompile: {problem}", file=sys.stderr)
        return 1
    os.umask(0o022)  # the service's own, for what tells about people, would hide the bytecode from its user
    used = sources(Path(sysconfig.get_path("stdlib")))
    for file in used:
        compile(str(file), importlib.util.cache_from_source(str(file)), doraise=True, invalidation_mode=AS_IT_IS)
    whole = all(compileall.compile_dir(folder, quiet=1, invalidation_mode=AS_IT_IS) for folder in folders)
    print(f"precompile: {len(used)} modules of Python's library, and {', '.join(folders)}")
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main_program(sys.argv[1:]))
