"""The one direction of imports, the public names, and what `import trivet` leaves alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trivet

ROOT = Path(trivet.__file__).parent

# A module imports from its own line and those above it; each name is a module or a folder.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("types", "errors"),
    ("model", "database", "collect", "fake", "typed", "functions", "strict", "into"),
    ("wire", "catalog"),
    ("providers", "local", "adapt", "rag", "tools", "evals", "tune", "scaling", "ledger"),
    ("registry", "config"),
    ("counting",),
    ("runtime", "situations"),
    ("sync", "calls", "pixels", "attach", "times", "inputs", "arguments", "api", "api_media"),
    ("server", "cli"),
)
SUBJECTS = LAYERS[3]  # these do not import each other
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def imported(tree: ast.AST) -> list[str]:
    """What a module imports of ours, wherever it does: `trivet.wire.sse`."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += names if node.module == "trivet" else [node.module or ""]
    return [name for name in found if name.split(".")[0] == "trivet"]


def breaches(module: str, tree: ast.AST) -> list[str]:
    """The imports of `module` (`trivet.wire.sse`) that go against the direction."""
    part = module.split(".")[1]
    found = []
    for name in imported(tree):
        other = name.partition(".")[2].partition(".")[0]
        if other not in RANK:  # `import trivet`, `from trivet import __version__`: the names of `__init__`
            continue
        between_subjects = other != part and other in SUBJECTS and part in SUBJECTS
        if RANK[other] > RANK[part] or between_subjects:
            found.append(f"{module} imports {name}")
    return found


def modules() -> dict[str, ast.AST]:
    paths = [path for path in ROOT.rglob("*.py") if path.parent != ROOT or not path.name.startswith("__")]
    return {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text("utf-8")
        )
        for path in paths
    }


def test_every_module_has_its_place() -> None:
    assert {name.split(".")[1] for name in modules()} <= set(RANK)


def test_imports_go_one_way() -> None:
    assert [b for name, tree in modules().items() for b in breaches(name, tree)] == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("trivet.types", "from trivet.model import Model"),
        ("trivet.wire.sse", "def f():\n    import trivet.runtime"),
        ("trivet.runtime", "from trivet import server"),
        ("trivet.local.x", "from trivet.adapt.prompt import Prompt"),
        ("trivet.server.app", "from trivet.sync import bridge"),
    ],
)
def test_the_wrong_way_is_seen(module: str, code: str) -> None:
    allowed = module == "trivet.server.app"  # sync is below the server
    assert bool(breaches(module, ast.parse(code))) is not allowed


def test_names_of_our_own_are_imported_from_where_they_are() -> None:
    """`import trivet` inside trivet would load by attribute what the direction forbids."""
    for name, tree in modules().items():
        if not name.startswith(("trivet.cli", "trivet.server")):
            assert "trivet" not in imported(tree), name


def test_every_public_name_is_there_and_can_be_listed() -> None:
    assert len(set(trivet.__all__)) == len(trivet.__all__)
    for name in trivet.__all__:
        assert getattr(trivet, name) is not None
    assert set(trivet.__all__) <= set(dir(trivet))
    namespace: dict[str, object] = {}
    exec("from trivet import *", namespace)
    assert set(trivet.__all__) <= set(namespace)


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    declared: dict[str, str] = {}
    for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trivet."):
            declared |= {alias.name: node.module or "" for alias in node.names}
    assert set(declared) == set(trivet.__all__)
    for name, module in declared.items():
        assert getattr(sys.modules[module], name) is getattr(trivet, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'trivet' has no attribute 'chta'"):
        trivet.chta  # noqa: B018


def loaded_by(code: str) -> set[str]:
    """The modules that a bare interpreter has after `code`, and had not before."""
    script = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); before = set(sys.modules)\n{code}\n"
    script += "print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


HEAVY = {"asyncio", "rich", "starlette", "uvicorn", "xllamacpp", "huggingface_hub", "platformdirs"}


def test_import_trivet_loads_nothing() -> None:
    loaded = loaded_by("import trivet")
    assert {name for name in loaded if name.startswith("trivet")} == {"trivet"}
    assert {name.split(".")[0] for name in loaded} <= {"trivet", *sys.stdlib_module_names} - HEAVY


def test_the_vocabulary_and_the_runtime_load_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("import trivet; trivet.Text, trivet.Model, trivet.Config, trivet.Runtime")


def test_help_loads_neither_the_runtime_nor_anything_heavy() -> None:
    loaded = loaded_by(
        "import trivet.cli, contextlib\nwith contextlib.suppress(SystemExit): trivet.cli.main(['--help'])"
    )
    assert not (HEAVY | {"msgspec"}) & loaded
    ours = {name for name in loaded if name.startswith("trivet.")}
    assert {name for name in ours if not name.startswith("trivet.cli")} == set()


def test_the_registry_loads_no_provider() -> None:
    loaded = loaded_by("import trivet.registry") - {"trivet.providers", "trivet.providers.hosts"}  # a table of data
    assert not {name for name in loaded if name.startswith(("trivet.local", "trivet.providers", "xllamacpp"))}
