"""House rules that a machine can check."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPERATOR, TRAINER, CLUSTER = ROOT / "operator", ROOT / "trainer", ROOT / "e2e/cluster"
PACKAGES = [OPERATOR / "finetune_operator", TRAINER / "finetune_trainer", CLUSTER]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
TESTS = [ROOT / "tests", ROOT / "e2e/scenarios"]
ONLY_PLACE_OF_THE_GROUP = OPERATOR / "finetune_operator/api/keys.py"

MODULE_LINES, FUNCTION_LINES, MODULES_PER_FOLDER = 400, 50, 12
BANNED_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def tree(path):
    return ast.parse(path.read_text("utf-8"))


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_there_are_modules_to_check():
    assert len(MODULES) > 80


def test_the_folders_operator_and_trainer_are_no_packages():
    assert not (OPERATOR / "__init__.py").exists()
    assert not (TRAINER / "__init__.py").exists()


@named(MODULES)
def test_modules_and_functions_stay_small(path):
    assert len(path.read_text("utf-8").splitlines()) <= MODULE_LINES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


@named(sorted({path.parent for path in MODULES}))
def test_folders_stay_small(path):
    modules = [item for item in path.iterdir() if item.suffix == ".py" and not item.name.startswith("__")]
    folders = [item for item in path.iterdir() if (item / "__init__.py").exists()]
    assert len(modules) + len(folders) <= MODULES_PER_FOLDER


@named(MODULES)
def test_a_module_is_named_for_what_it_holds(path):
    assert path.stem not in BANNED_NAMES


@named(MODULES)
def test_every_module_says_in_one_sentence_what_it_holds(path):
    first = (ast.get_docstring(tree(path)) or "").split("\n\n")[0]
    assert first.rstrip().endswith((".", "is:", ":")), first


@named([path for path in tracked("*.py") if not set(TESTS) & set(path.parents)])
def test_nothing_asserts_outside_tests(path):
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]


@named(sorted(set(OPERATOR.rglob("*.py")) - {ONLY_PLACE_OF_THE_GROUP}))
def test_the_group_of_the_api_is_named_in_one_place(path):
    assert "finetune.dev" not in path.read_text("utf-8")


def test_the_place_of_the_group_names_it():
    assert "finetune.dev" in ONLY_PLACE_OF_THE_GROUP.read_text("utf-8")


@named(sorted((ROOT / "tests/unit").rglob("test_*.py")))
def test_every_unit_test_mirrors_a_module(path):
    relative = path.relative_to(ROOT / "tests/unit")
    module = OPERATOR / "finetune_operator" / relative.with_name(relative.name.removeprefix("test_"))
    assert module.exists()


WAITS_BY_NAME = {"eventually", "watch", "poll_until"}


def sleeps(node):
    """Lines that sleep, outside the functions that are for waiting; a sleep of 0 only lets others run."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in WAITS_BY_NAME:
        return
    called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    if called == "sleep" and [ast.unparse(argument) for argument in node.args] != ["0"]:
        yield node.lineno
    for child in ast.iter_child_nodes(node):
        yield from sleeps(child)


@named([path for path in tracked("tests/*.py", "e2e/*.py") if CLUSTER not in path.parents])
def test_tests_wait_by_asking_and_never_by_sleeping(path):
    assert list(sleeps(tree(path))) == []


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(1)",
        "from time import sleep\nsleep(1)",
        "def test():\n  async def inner():\n    await asyncio.sleep(2)",
    ],
)
def test_every_way_to_sleep_is_seen(code):
    assert list(sleeps(ast.parse(code)))


PLACES = {
    "package registries": ["pypi|.org", "pythonhosted|.org", "proxy.golang|.org", "sum.golang|.org", "npmjs|.org"],
    "image registries": ["ghcr|.io/", "quay|.io/", "index.docker|.io", "gcr|.io/"],
    "folders of one machine": ["/root|/", "/home|/", "/tmp/bash|_jobs", "/work/|main", "/work/|shared"],
}


@pytest.mark.parametrize("kind", PLACES)
def test_no_file_names_a_registry_or_a_place_of_one_machine(kind):
    places = [place.replace("|", "") for place in PLACES[kind]]
    texts = {path: path.read_text("utf-8", errors="ignore") for path in tracked() if path.suffix != ".png"}
    found = {(str(path.relative_to(ROOT)), place) for path, text in texts.items() for place in places if place in text}
    assert found == set()


def test_the_import_rules_hold():
    done = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stdout


def _environment():
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "PYTHONPATH": f"{OPERATOR}:{TRAINER}"}
