"""What operator and trainer say to each other is read strictly; what a trainer says may be more than is asked for."""

import dataclasses
import functools
import json
import types
import typing

import pytest
from builders import KEY, a_failure, a_job, a_report, at_step
from finetune_operator.api import timestamps
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.run_config import trainer_run
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_trainer import contract
from finetune_trainer.contract import (
    EXIT_CODES,
    LATEST_MOMENT,
    Artifact,
    ContractError,
    DatasetFacts,
    ExitReport,
    FailureReason,
    InspectionReport,
    InspectionRun,
    Label,
    Metric,
    Progress,
    TokenHistogram,
    TrainerRun,
)

JOB = a_job(technique={"method": "qlora"})
RUN = trainer_run(Attempt(KEY, JOB, plan(JOB, Profiles()), Profiles(), 1))
PEFT_JOB = a_job(technique={"method": "peft", "peft": {"type": "vera", "options": {"r": 8, "d_initial": 0.5}}})
PEFT_RUN = trainer_run(Attempt(KEY, PEFT_JOB, plan(PEFT_JOB, Profiles()), Profiles(), 1))
FETCHING = [
    a_job(
        model={"name": "all-MiniLM-L6-v2", "source": model},
        dataset={"source": rows},
        evaluation={"everySteps": 5},
        training={"maxSteps": 50, "earlyStopping": {"patience": 2}},
    )
    for model, rows in (
        ({"s3": {"uri": "s3://models/minilm"}}, {"https": {"url": "https://example.org/rows.jsonl"}}),
        ({"oci": {"image": "registry.example.org/minilm:1"}}, {"hub": {"name": "org/rows"}}),
    )
]
FETCHING_RUNS = [trainer_run(Attempt(KEY, job, plan(job, Profiles()), Profiles(), 1)) for job in FETCHING]
HISTOGRAM = TokenHistogram(median=20, p95=90, max=128, rows=7)
REPORT = a_report(
    artifacts=(Artifact(kind="adapter", path="adapter", bytes=5, sha256="0" * 64),),
    dataset=DatasetFacts(training_rows=7, held_out_rows=2, tokens=HISTOGRAM),
)
NO_DOCUMENTS = {Label, Metric}
INSPECTION = InspectionRun(schema_version=contract.SCHEMA_VERSION, folder="/model", termination_log="/log")
NUMBERS = InspectionReport(config={"model_type": "llama", "hidden_size": 64, "rope": 0.5, "tied": True})
DOCUMENTS = [
    *(RUN, *FETCHING_RUNS, PEFT_RUN, at_step(3), REPORT, a_failure(FailureReason.DATA_INVALID), Progress()),
    *(INSPECTION, NUMBERS, InspectionReport(problem="does not exist")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_what_is_written_is_read_back(document):
    assert contract.from_json(type(document), contract.to_json(document)) == document


@functools.cache
def hints(kind):
    return typing.get_type_hints(kind)


def places(kind, raw, path="$"):
    """Every object of a document: its type, itself, its path."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        (kind,) = [option for option in typing.get_args(kind) if option is not types.NoneType]
    if dataclasses.is_dataclass(kind) and raw is not None:
        yield kind, raw, path
        for field in dataclasses.fields(kind):
            key = contract.camel(field.name)
            yield from places(hints(kind)[field.name], raw[key], f"{path}.{key}")
    elif typing.get_origin(kind) is tuple:
        for index, item in enumerate(raw or ()):
            yield from places(typing.get_args(kind)[0], item, f"{path}[{index}]")


def every_field(document):
    """Every field of every object: itself, its type, and the object in a copy of the whole that can be spoiled."""
    text = contract.to_json(document)
    kinds = [kind for kind, _raw, _path in places(type(document), json.loads(text))]
    for number, kind in enumerate(kinds):
        for field in dataclasses.fields(kind):
            whole = json.loads(text)
            _kind, raw, path = list(places(type(document), whole))[number]
            yield field, hints(kind)[field.name], (raw, path, whole)


def refusal(document, spoiled):
    with pytest.raises(ContractError) as refused:
        contract.from_json(type(document), json.dumps(spoiled))
    return str(refused.value)


ALL = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)


def test_every_type_of_the_contract_is_in_the_documents():
    read = [places(type(document), json.loads(contract.to_json(document))) for document in DOCUMENTS]
    declared = {kind for kind in vars(contract).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)}
    assert {kind for document in read for kind, _raw, _path in document} == declared - NO_DOCUMENTS


ASKED = [document for document in DOCUMENTS if isinstance(document, TrainerRun | InspectionRun)]
SAID = [document for document in DOCUMENTS if document not in ASKED]


@pytest.mark.parametrize("document", ASKED, ids=lambda document: type(document).__name__)
def test_a_trainer_is_told_nothing_that_it_does_not_know(document):
    for field, _hint, (raw, path, whole) in every_field(document):
        raw[f"{field.name}Too"] = 1
        assert refusal(document, whole) == f"{path}.{field.name}Too: unknown key"


@pytest.mark.parametrize("document", SAID, ids=lambda document: type(document).__name__)
def test_what_a_later_trainer_says_more_is_passed_over(document):
    """An operator that was set back hears the trainers that were begun before."""
    for field, _hint, (raw, _path, whole) in every_field(document):
        raw[f"{field.name}Too"] = {"said": ["by", 1, "later"]}
        assert contract.from_json(type(document), json.dumps(whole)) == document


@ALL
def test_a_key_without_a_default_is_missed_with_its_path(document):
    for field, _hint, (raw, path, whole) in every_field(document):
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and field.name != "schema_version":
            key = contract.camel(field.name)
            del raw[key]
            assert refusal(document, whole) == f"{path}.{key}: missing"


WRONG_TYPES = {"an object": {"not": ["this"]}, "a list": [{"nor": "this"}], "a truth value": True}


@ALL
@pytest.mark.parametrize("wrong", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_wrong_type_anywhere_is_refused_with_its_path(document, wrong):
    for field, hint, (raw, path, whole) in every_field(document):
        if field.name != "schema_version" and not (wrong is True and hint is bool):
            raw[contract.camel(field.name)] = wrong
            assert refusal(document, whole).startswith(f"{path}.{contract.camel(field.name)}")


@ALL
@pytest.mark.parametrize("version", [None, 0, contract.SCHEMA_VERSION + 1, "1"])
def test_another_version_is_refused_before_anything_else(document, version):
    spoiled = {"schemaVersion": version, "surplus": 1}
    assert refusal(document, spoiled).startswith(f"$.schemaVersion: {version!r}")


def test_a_wrong_item_of_a_list_is_refused_with_its_place():
    spoiled = json.loads(contract.to_json(RUN))
    spoiled["output"]["formats"] = ["adapter", 1]
    assert refusal(RUN, spoiled).startswith("$.output.formats[1]")


def test_an_option_keeps_its_type():
    for value in (1, 1.5, True, "1"):
        raw = json.loads(contract.to_json(PEFT_RUN))
        raw["technique"]["peft"]["options"] = {"x": value}
        read = contract.from_json(type(PEFT_RUN), json.dumps(raw)).technique.peft.options["x"]
        assert (read, type(read)) == (value, type(value))
    raw["technique"]["peft"]["options"] = {"x": None}
    assert refusal(PEFT_RUN, raw).startswith("$.technique.peft.options.x")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 4000], ids=lambda text: text[:3] or "nothing")
def test_what_is_no_document_is_refused(text):
    with pytest.raises(ContractError):
        contract.from_json(ExitReport, text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_know_is_refused(number):
    """A trainer's word goes on into status, where the API server would refuse it."""
    with pytest.raises(ContractError, match="not JSON"):
        contract.from_json(Progress, f'{{"schemaVersion":1,"loss":{number}}}')


OUT_OF_RANGE = {
    "more digits than a float has room for": ("checkpointAt", "9" * 400),
    "infinity in digits": ("loss", "1e400"),
    "a step beyond what the API server keeps": ("step", str(2**63)),
    "a moment after the last of the calendar": ("updatedAt", "1e300"),
    "a moment before the epoch": ("checkpointAt", "-1"),
}


@pytest.mark.parametrize(("key", "number"), OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_a_number_that_nobody_can_keep_is_refused_with_its_path(key, number):
    with pytest.raises(ContractError) as refused:
        contract.from_json(Progress, f'{{"schemaVersion":1,"{key}":{number}}}')
    assert str(refused.value).startswith(f"$.{key}: ")


def test_the_largest_numbers_that_can_be_kept_are_read():
    largest = Progress(step=2**63 - 1, loss=1.7e308, updated_at=LATEST_MOMENT)
    assert contract.from_json(Progress, contract.to_json(largest)) == largest
    assert timestamps.write(largest.updated_at) == "9999-12-31T23:59:59Z"


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(ContractError, match="Succeeded, Failed, Suspended"):
        contract.from_json(ExitReport, '{"schemaVersion":1,"outcome":"Maybe"}')


def test_every_failure_has_an_exit_code_of_its_own():
    assert set(EXIT_CODES) == set(FailureReason)
    assert len(set(EXIT_CODES.values())) == len(FailureReason)


def test_documents_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.task = "other"
