"""What the chart renders, by Helm itself: `rendered(values)` gives the objects by kind and name."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/finetune-operator"
RENDER_SECONDS = 60


class HelmError(AssertionError):
    """Helm said no; the text is what it said."""


class Rendered(dict):
    """Objects by (kind, namespace, name)."""

    def kinds(self):
        return sorted({kind for kind, _namespace, _name in self})

    def only(self, kind):
        (found,) = self.all(kind)
        return found

    def all(self, kind):
        return [body for (of_kind, _namespace, _name), body in self.items() if of_kind == kind]

    def named(self, kind, name):
        (found,) = [body for body in self.all(kind) if body["metadata"]["name"] == name]
        return found

    def pod(self):
        return self.only("Deployment")["spec"]["template"]


class Strict(yaml.SafeLoader):
    """Refuses a key that is there twice, as the API server's own reader does."""

    def construct_unique(self, node):
        keys = [self.construct_object(key) for key, _value in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise HelmError(f"rendered twice: {', '.join(twice)}")
        return self.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, Strict.construct_unique)


def helm_program():
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    cache = os.environ.get("FINETUNE_CACHE") or f"{base}/finetune-operator"
    places = [os.environ.get("HELM"), shutil.which("helm"), str(pathlib.Path(cache).expanduser() / "path/helm")]
    for place in places:
        if place and os.access(place, os.X_OK):
            return place
    return pytest.fail("no helm on PATH, in $HELM or in the cache: `make test-chart` sets it up")


@pytest.fixture(scope="session")
def helm():
    program = helm_program()

    def run(*words):
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=RENDER_SECONDS)
        if done.returncode:
            raise HelmError(done.stderr)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def chart():
    return CHART


@pytest.fixture(scope="session")
def rendered(helm, tmp_path_factory):
    def render(values=None, release="release"):
        file = tmp_path_factory.mktemp("values") / "values.json"
        file.write_text(json.dumps(values or {}), "utf-8")
        text = helm("template", release, str(CHART), "--namespace", "system", "--values", str(file))
        documents = [document for document in yaml.load_all(text, Strict) if document]
        found = Rendered(
            ((body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"]), body) for body in documents
        )
        assert len(found) == len(documents), "an object is rendered twice"
        return found

    return render


@pytest.fixture(scope="session")
def refused(rendered):
    """Render what Helm has to refuse; return what it says."""

    def render(values):
        with pytest.raises(HelmError) as said:
            rendered(values)
        return str(said.value)

    return render


@pytest.fixture(scope="session")
def default(rendered):
    return rendered()


@pytest.fixture(scope="session")
def narrow(rendered):
    return rendered({"config": {"watch": {"namespaces": ["one", "two"]}}})
