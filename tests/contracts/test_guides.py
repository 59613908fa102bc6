"""What the guides show of jobs and run files is taken as it stands."""

import json
import pathlib
import re

import pytest
import yaml
from builders import KEY, a_job
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.run_config import trainer_run
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_trainer import contract

GUIDES = sorted((pathlib.Path(__file__).parents[2] / "docs/guides").glob("*.md"))
GUIDE_TO_PLANNING = next(guide for guide in GUIDES if guide.stem == "planning").read_text("utf-8")
JOB = a_job()
RUN = json.loads(contract.to_json(trainer_run(Attempt(KEY, JOB, plan(JOB, Profiles()), Profiles(), 1))))

BASE = JOB.model_dump(mode="json", by_alias=True, exclude_unset=True)


def snippets(language):
    for guide in GUIDES:
        for number, text in enumerate(re.findall(rf"```{language}\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)):
            yield pytest.param(text, id=f"{guide.stem} {number}")


def parts_of_a_run():
    return [each for each in snippets("json") if json.loads(each.values[0]).keys() <= RUN.keys()]


@pytest.mark.parametrize("text", parts_of_a_run())
def test_a_part_of_a_run_file_is_read(text):
    part = json.loads(text)
    read = json.loads(contract.to_json(contract.from_json(contract.TrainerRun, json.dumps(RUN | part))))
    for name, said in part.items():
        assert said.items() <= read[name].items()


def test_the_guide_to_several_processes_shows_a_run_file():
    assert [each.id for each in parts_of_a_run()] == ["distributed 0"]


@pytest.mark.parametrize("text", list(snippets("yaml")))
def test_what_is_shown_of_a_job_is_valid(text):
    for shown in filter(None, yaml.safe_load_all(text)):
        if "spec" in shown:
            FineTuneJobSpec.model_validate(BASE | shown["spec"])


def test_the_guide_to_planning_lists_every_adapter_that_cannot_be_used():
    listed = re.findall(r"^\| `([a-z-]+)` \| (.+; (?:take|set) .+) \|$", GUIDE_TO_PLANNING, re.MULTILINE)
    assert dict(listed) == dict(contract.UNUSABLE_PEFT_TYPES)
