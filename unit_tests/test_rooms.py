"""The three rooms of the house: what may know of what."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from source_stripe.source import load_manifest

PACKAGE = Path(__file__).parents[1] / "source_stripe"
MODULES = {
    ".".join(("source_stripe", *file.relative_to(PACKAGE).with_suffix("").parts)): ast.parse(file.read_text(encoding="utf-8"))
    for file in PACKAGE.rglob("*.py")
    if file.name != "__init__.py"
}


def imports(module: str) -> set[str]:
    """What the module imports, also what is for type checkers alone; of our own package, modules by their full names."""
    found: set[str] = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{name.name}" for name in node.names} & MODULES.keys()
            found |= names or {str(node.module)}
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "source_stripe" and len(parts) > 2 else ""


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "api"])
def test_the_way_to_stripe_knows_neither_airbyte_nor_what_a_sync_is(module: str) -> None:
    assert [name for name in imports(module) if name.startswith("airbyte")] == []
    assert [name for name in imports(module) if name.startswith("source_stripe") and room(name) != "api"] == []


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "sync"])
def test_a_sync_knows_nothing_of_airbyte(module: str) -> None:
    assert [name for name in imports(module) if name.startswith("airbyte")] == []
    assert [name for name in imports(module) if name.startswith("source_stripe") and room(name) not in ("sync", "api")] == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: imports(module) & MODULES.keys() for module in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "sync"])
def test_one_thread_owns_the_state_of_a_sync_so_that_nothing_is_locked(module: str) -> None:
    names = {node.attr for node in ast.walk(MODULES[module]) if isinstance(node, ast.Attribute)}
    assert names & {"Lock", "RLock", "Condition", "Barrier", "local"} == set()
    assert "threading" not in imports(module) or module == "source_stripe.sync.sync"


@pytest.mark.parametrize("module", MODULES)
def test_a_function_can_be_seen_at_a_glance(module: str) -> None:
    functions = [node for node in ast.walk(MODULES[module]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= 40] == []


def test_no_part_asks_for_the_name_of_a_stream_but_the_events_and_a_platforms_accounts() -> None:
    names = {entry["$parameters"]["name"] for entry in load_manifest()["streams"]}
    asked = {node.value for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert names & {each for each in asked if isinstance(each, str)} == {"account", "accounts", "events"}
