"""What the guide to data prints is true."""

import pathlib
import re

import yaml
from finetune_operator.api.v1alpha1.sources import DatasetSource, ModelSource
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_trainer.data.reading import SUFFIXES
from finetune_trainer.sources.fetch import MODEL_FILES
from finetune_trainer.sources.retries import TRIES

GUIDE = (pathlib.Path(__file__).parents[2] / "docs/guides/data.md").read_text("utf-8")


def test_the_sources_that_it_shows_are_valid():
    (snippet,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    spec = FineTuneJobSpec.model_validate({**yaml.safe_load(snippet)["spec"], "task": "chat"})
    assert spec.model.source.oci.path == "model"
    assert len(spec.dataset.validation.source.https.sha256) == 64


def test_it_lists_every_source_and_what_is_taken_of_each():
    listed = set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE))
    fields = {**DatasetSource.model_fields, **ModelSource.model_fields}
    assert {each.alias or name for name, each in fields.items()} <= listed
    for ending in (*SUFFIXES, *MODEL_FILES):
        assert f"`{ending}`" in GUIDE
    assert f"({TRIES} tries)" in GUIDE
