"""What operator and trainer say to each other is read strictly."""

import dataclasses
import json

import pytest
from builders import KEY, a_failure, a_job, a_report, at_step
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.run_config import trainer_run
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_trainer import contract
from finetune_trainer.contract import EXIT_CODES, ContractError, ExitReport, FailureReason, Progress, TrainerRun

JOB = a_job(technique={"method": "qlora"})
RUN = trainer_run(Attempt(KEY, JOB, plan(JOB, Profiles()), Profiles(), 1))
DOCUMENTS = [RUN, at_step(3), a_report(), a_failure(FailureReason.DATA_INVALID), Progress()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_what_is_written_is_read_back(document):
    assert contract.from_json(type(document), contract.to_json(document)) == document


WRONG = {
    "an unknown key": (["training"], "maxStep", 5, "$.training.maxStep: unknown key"),
    "a wrong type": (["training"], "seed", "x", "$.training.seed: 'x' is not of type int"),
    "a truth value for a number": (["training"], "seed", True, "$.training.seed"),
    "a wrong item of a list": (["output"], "formats", [1], "$.output.formats[0]"),
    "another version": ([], "schemaVersion", 99, "$.schemaVersion: 99"),
}


@pytest.mark.parametrize(("path", "key", "value", "want"), WRONG.values(), ids=WRONG)
def test_a_wrong_document_is_refused_with_the_path(path, key, value, want):
    document = json.loads(contract.to_json(RUN))
    place = document
    for part in path:
        place = place[part]
    place[key] = value
    with pytest.raises(ContractError) as refused:
        contract.from_json(TrainerRun, json.dumps(document))
    assert str(refused.value).startswith(want)


def test_a_missing_key_is_refused_with_the_path():
    document = json.loads(contract.to_json(RUN))
    del document["model"]["name"]
    with pytest.raises(ContractError, match=r"\$\.model\.name: missing"):
        contract.from_json(TrainerRun, json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_what_is_no_document_is_refused(text):
    with pytest.raises(ContractError):
        contract.from_json(ExitReport, text)


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(ContractError, match="Succeeded, Failed, Suspended"):
        contract.from_json(ExitReport, '{"schemaVersion":1,"outcome":"Maybe"}')


def test_every_failure_has_an_exit_code_of_its_own():
    assert set(EXIT_CODES) == set(FailureReason)
    assert len(set(EXIT_CODES.values())) == len(FailureReason)


def test_documents_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.task = "other"
