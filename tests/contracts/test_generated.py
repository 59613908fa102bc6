"""Generated files are what their sources give now."""

import importlib.util
import pathlib
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRITTEN = [
    "crds/finetunejobs.yaml",
    "charts/finetune-operator/templates/crds/finetunejobs.yaml",
    "charts/finetune-operator/values.schema.json",
    "charts/finetune-operator/README.md",
    "docs/reference/api.md",
    "docs/reference/config.md",
    "docs/reference/metrics.md",
    "charts/finetune-operator/dashboards/finetune-fleet.json",
    "charts/finetune-operator/dashboards/finetune-job.json",
    "charts/finetune-operator/dashboards/finetune-operator-health.json",
    "charts/finetune-operator/rules/alerts.yaml",
    "charts/finetune-operator/rules/recording.yaml",
]


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    """A copy of the sources in which the generator has run over emptied targets."""
    copy = tmp_path_factory.mktemp("repository")
    for name in (".ci", "crds", "charts", "docs/reference", "monitoring"):
        shutil.copytree(ROOT / name, copy / name)
    readme = copy / "charts/finetune-operator/README.md"
    for name in WRITTEN:
        (copy / name).write_text(readme.read_text("utf-8").split("| --- ")[0] if copy / name == readme else "", "utf-8")
    before = list(sys.path)
    sys.path.insert(0, str(copy / ".ci"))
    try:
        spec = importlib.util.spec_from_file_location("generate_in_a_copy", copy / ".ci/generate.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.main()
    finally:
        sys.path[:] = before
        written_here = ("chart", "api_reference", "metrics_reference", "monitoring")
        for name in [name for name in sys.modules if name.split(".")[0] in written_here]:
            sys.modules.pop(name)
    return copy


@pytest.mark.parametrize("name", WRITTEN)
def test_a_generated_file_is_up_to_date(regenerated, name):
    assert (regenerated / name).read_text("utf-8") == (ROOT / name).read_text("utf-8"), "run `make generate`"


def test_the_generator_writes_nothing_else(regenerated):
    def files(root):
        return {
            str(path.relative_to(root)): path.read_bytes()
            for folder in ("crds", "charts", "docs/reference")
            for path in (root / folder).rglob("*")
            if path.is_file()
        }

    assert files(regenerated) == files(ROOT)
