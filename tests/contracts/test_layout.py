"""House rules that a machine can check."""

import ast
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPERATOR, TRAINER, CLUSTER = ROOT / "operator", ROOT / "trainer", ROOT / "e2e/cluster"
PACKAGES = [OPERATOR / "finetune_operator", TRAINER / "finetune_trainer", CLUSTER]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
OURS = [path for path in MODULES if CLUSTER not in path.parents]

MODULE_LINES, FUNCTION_LINES, MODULES_PER_FOLDER = 400, 50, 13
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


@named(OURS)
def test_nothing_asserts_outside_tests(path):
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]


@named(sorted((OPERATOR / "finetune_operator").rglob("*.py")))
def test_the_group_of_the_api_is_named_in_one_place(path):
    if path.name != "keys.py":
        code = re.sub(r'""".*?"""', "", path.read_text("utf-8"), flags=re.DOTALL)
        assert not re.search(r'"finetune\.dev', code)


@named(sorted((ROOT / "tests/unit").rglob("test_*.py")))
def test_every_unit_test_mirrors_a_module(path):
    relative = path.relative_to(ROOT / "tests/unit")
    module = OPERATOR / "finetune_operator" / relative.with_name(relative.name.removeprefix("test_"))
    assert module.exists()


@named(
    [
        path
        for path in tracked("tests/*.py", "e2e/*.py")
        if CLUSTER not in path.parents and path != pathlib.Path(__file__)
    ]
)
def test_tests_wait_by_asking_and_never_by_sleeping(path):
    allowed = {"eventually", "watch", "poll_until"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in allowed:
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
            sleeps = [c for c in calls if getattr(c.func, "attr", "") == "sleep" and ast.unparse(c.args[0]) != "0"]
            assert not sleeps, f"{node.name} sleeps in line {sleeps[0].lineno}"


def test_no_file_names_a_package_registry_or_a_place_of_one_machine():
    hosts = [
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "proxy.golang" + ".org",
        "registry.npmjs" + ".org",
        "/root" + "/",
    ]
    for path in tracked():
        if path.suffix in {".sum", ".png"} or path == pathlib.Path(__file__):
            continue
        text = path.read_text("utf-8", errors="ignore")
        assert not [host for host in hosts if host in text], path


def test_the_import_rules_hold():
    done = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stdout


def _environment():
    import os
    import sys

    path = f"{pathlib.Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "PYTHONPATH": f"{OPERATOR}:{TRAINER}"}
