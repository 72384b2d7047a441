"""Imports run one way, `app` builds, and importing touches nothing: read from the source, nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "ouija_es"

LEAVES = {"config", "errors", "clock", "ids", "readiness"}
"""Time, ids, settings and the error tree: for all above the domain."""
LOG = {"recovery", "timeline", "erasure", "retention", "sealing", "replaying", "verification"}
"""What is done with the log as a whole: finishing what a dead process left, sealing, telling, deciding, checking."""
READ_SIDE = {"projections", "store", "domain"}
FLOW = {"seance", "fallback", "providers"} | READ_SIDE

MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "errors": {"domain"},
    "clock": set(),
    "ids": set(),
    "readiness": {"errors"},
    "config": {"domain", "errors"},
    "store": LEAVES | {"domain"},
    "projections": LEAVES | {"store", "domain"},
    "providers": LEAVES | {"domain"},
    "fallback": LEAVES | {"providers", "domain"},
    "telemetry": LEAVES | {"domain"},
    "idempotency": LEAVES | {"recovery", "store", "domain"},
    "restoring": LEAVES | {"fallback", "store", "domain"},
    "seance": LEAVES | {"telemetry", "fallback", "providers", "idempotency", "recovery"} | READ_SIDE,
    "shedding": LEAVES | {"store"},
    "erasure": LEAVES | {"store", "domain"},
    "retention": LEAVES | {"erasure", "store", "domain"},
    "sealing": LEAVES | {"projections", "store", "domain"},
    "recovery": LEAVES | {"store", "domain"},
    "timeline": {"store", "domain"},
    "replaying": {"fallback", "store", "domain"},
    "verification": LEAVES | {"store", "domain"},
    "web": set(),
    "resources": LEAVES | {"telemetry", "web", "shedding", "erasure"} | FLOW,
    "app": LEAVES | {"telemetry", "web", "resources", "shedding", "idempotency", "restoring"} | LOG | FLOW,
    "asgi": LEAVES | {"telemetry", "app"},
    "cli": LEAVES | {"telemetry", "app", "asgi"} | LOG | FLOW,
    "__main__": {"cli"},
    "__init__": set(),
}
"""Layer (top-level module of the package) to what it may import; itself and the version are free."""

BUILDERS = {"app", "cli"}
BUILT = {"resources", "seance", "fallback", "providers", "projections", "store", "recovery", "shedding"}
BUILT |= {"idempotency", "erasure", "retention", "sealing", "replaying", "verification"}
BUILT_ANYWHERE = {
    "Deadline": "one is made at the door for every ask",
    "Journal": "one is kept for every question",
    "Links": "they belong to one pass over the log",
    "Course": "one is followed for every question",
    "LogRows": "it reads on the connection that it is given",
}
"""Classes with a constructor of their own that are not wiring, and why."""

TOUCHES_AT_IMPORT = {
    *("open", "connect", "socket", "create_connection", "urlopen", "Popen", "Thread"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "touch", "unlink"),
}


class Module:
    """One source file: its layer and its syntax tree."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self.tree = ast.parse(source, str(path))
        parts = path.with_suffix("").parts
        self.layer = parts[1]
        self.folder = parts[:-1]

    def imports(self) -> Iterator[tuple[str, str]]:
        """(layer, name) of every import from the package, also inside functions and under TYPE_CHECKING."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((_layer(alias.name.split(".")), alias.name) for alias in node.names if _own(alias.name))
            elif isinstance(node, ast.ImportFrom):
                base = list(self.folder[: len(self.folder) - node.level + 1]) if node.level else []
                base += node.module.split(".") if node.module else []
                yield from ((_layer([*base, alias.name]), alias.name) for alias in node.names if _own(".".join(base)))


def _own(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE


def _layer(parts: list[str]) -> str:
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__version") else "__init__"


def wrong_imports(module: Module) -> list[str]:
    allowed = MAY_IMPORT.get(module.layer, set()) | {module.layer, "__init__"}
    return [f"{module.path}: {module.layer} imports {layer}" for layer, _ in module.imports() if layer not in allowed]


def wired_classes(modules: list[Module]) -> dict[str, str]:
    """Class name to layer, of the classes with an `__init__` of their own: collaborators have one, values do not."""
    return {
        node.name: module.layer
        for module in modules
        if module.layer in BUILT
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(_is_init(item) for item in node.body)
    }


def _is_init(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def wrong_builds(module: Module, wired: dict[str, str]) -> list[str]:
    if module.layer in BUILDERS:
        return []
    imported = {name for layer, name in module.imports() if layer != module.layer}
    called = {_called(node) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    return [
        f"{module.path}: {module.layer} builds {name} of {wired[name]}"
        for name in sorted(called & imported & wired.keys() - BUILT_ANYWHERE.keys())
    ]


def environment_reads(module: Module) -> list[str]:
    """Uses of os.environ and its like; only config.py reads the environment."""
    if module.layer == "config":
        return []
    names = {"environ", "environb", "getenv", "getenvb"}
    return [
        f"{module.path}:{node.lineno}: reads the environment"
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names})
    ]


def touches_at_import(module: Module) -> list[str]:
    calls = (node for node in _run_at_import(module.tree) if isinstance(node, ast.Call))
    return [f"{module.path}:{c.lineno}: {_called(c)}() at import" for c in calls if _called(c) in TOUCHES_AT_IMPORT]


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are evaluated when the module is imported: defaults and decorators, but no function's body."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        return
    inside: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        inside = [*node.decorator_list, node.args]
    elif isinstance(node, ast.Lambda):
        inside = [node.args]
    for child in inside:
        yield from _run_at_import(child)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


MODULES = [
    Module(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in sorted((ROOT / PACKAGE).rglob("*.py"))
]
WIRED = wired_classes(MODULES)


def test_the_table_knows_every_module() -> None:
    assert MODULES
    assert {module.layer for module in MODULES} <= MAY_IMPORT.keys()
    assert set().union(*MAY_IMPORT.values()) <= MAY_IMPORT.keys()


def test_the_table_has_no_cycle() -> None:
    left = dict(MAY_IMPORT)
    while ready := [layer for layer, allowed in left.items() if not allowed & left.keys()]:
        for layer in ready:
            del left[layer]
    assert not left


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.path))
def test_a_module_keeps_the_rules(module: Module) -> None:
    assert wrong_imports(module) == []
    assert wrong_builds(module, WIRED) == []
    assert environment_reads(module) == []
    assert touches_at_import(module) == []


def _module(path: str, source: str) -> Module:
    return Module(Path(PACKAGE, path), source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("store/log.py", "from ouija_es.seance import Seance"),
        ("store/log.py", "import ouija_es.projections.totals"),
        ("store/log.py", "from ouija_es import app"),
        ("store/log.py", "from .. import providers"),
        ("store/log.py", "from ..resources.ask import Ask"),
        ("domain/events.py", "from ouija_es.errors import OuijaError"),
        ("seance.py", "from .resources import ask"),
        ("seance.py", "def late():\n    from ouija_es.app import create_app"),
        ("providers/groq.py", "if TYPE_CHECKING:\n    from ouija_es.fallback.chain import Chain"),
    ],
)
def test_an_import_against_the_grain_is_found(path: str, source: str) -> None:
    assert wrong_imports(_module(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("store/log.py", "from ouija_es.domain.events import Asked\nfrom .mapper import Mapper\nfrom . import vault"),
        ("seance.py", "from ouija_es import __version__\nfrom ouija_es.store.recorder import Recorder\nimport os.path"),
        ("app.py", "from ouija_es.providers.groq import Groq\nfrom ouija_es.resources import ask"),
    ],
)
def test_an_import_along_the_grain_is_not(path: str, source: str) -> None:
    assert wrong_imports(_module(path, source)) == []


def test_building_outside_app_is_found() -> None:
    maker = _module("store/recorder.py", "class Recorder:\n    def __init__(self): ...\nclass Row(Struct):\n    x: int")
    uses = "from ouija_es.store.recorder import Recorder, Row\nRow(1)\nRecorder()"
    wired = wired_classes([maker])
    assert wired == {"Recorder": "store"}
    assert wrong_builds(_module("resources/ask.py", uses), wired)
    assert wrong_builds(_module("app.py", uses), wired) == []


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ"]
)
def test_reading_the_environment_is_found(source: str) -> None:
    assert environment_reads(_module("store/log.py", source))
    assert environment_reads(_module("config.py", source)) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("FILE = open('x')", True),
        ("DB = sqlite3.connect('x')", True),
        ("class A:\n    text = Path('x').read_text()", True),
        ("def f(x=open('x')): ...", True),
        ("@wrap(socket.socket())\ndef f(): ...", True),
        ("def f():\n    return open('x')", False),
        ("f = lambda: open('x')", False),
        ("if __name__ == '__main__':\n    open('x')", False),
    ],
)
def test_touching_the_machine_at_import_is_found(source: str, found: bool) -> None:
    assert bool(touches_at_import(_module("store/log.py", source))) is found
