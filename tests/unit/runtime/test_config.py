"""The administrator's file."""

import pytest
from finetune_operator.runtime.cli import main
from finetune_operator.runtime.config import ConfigError, OperatorConfig, load


def written(folder, text):
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_without_a_file_everything_has_its_default():
    assert load(None) == OperatorConfig()


def test_an_empty_file_is_all_defaults(tmp_path):
    assert load(written(tmp_path, "")) == OperatorConfig()


def test_values_are_read_by_their_names_in_the_file(tmp_path):
    config = load(
        written(tmp_path, "{watch: {namespaces: [a]}, logs: {json: false}, profiles: {cpu: {memoryBytes: 5}}}")
    )
    assert (config.watch.namespaces, config.logs.as_json, config.profiles.cpu.memory_bytes) == (("a",), False, 5)


WRONG = {
    "a misspelt key is named": ("profiles: {cpu: {memory: 5}}", "profiles.cpu.memory"),
    "a wrong value is named": ("workers: 0", "workers"),
    "what is not YAML is said to be so": ("a: [", "config.yaml"),
    "a file that is no object is said to be so": ("- a", "the file: Input should be"),
    "hardware is checked to its depth": (
        "profiles: {hardware: {big: {accelerator: nvidia-l4, tolerations: [{key: a, effect: Never}]}}}",
        r"config\.yaml: profiles\.hardware\.big\.tolerations\.0\.effect: Input should be",
    ),
    "a name is named where it is wrong": (
        "profiles: {hardware: {Big: {accelerator: cpu}}}",
        r"config\.yaml: profiles\.hardware\.Big: String should match",
    ),
    "what contradicts itself is told in our own words": (
        "profiles: {defaultStorage: {template: {}, ephemeral: {}}}",
        r"config\.yaml: profiles\.defaultStorage: set exactly one of claim, template, ephemeral",
    ),
    "an accelerator that nobody knows is named": (
        "profiles: {hardware: {a: {accelerator: nvidia-l44}}}",
        r"config\.yaml: profiles\.hardware\.a\.accelerator: 'nvidia-l44' is not in the catalog; did you mean nvidia-l4",
    ),
    "instance types are checked where one runs and where one is priced": (
        "profiles: {hardware: {a: {accelerator: cpu, instanceType: g6.xlrge}}, prices: {g5.xlrge: 1}}",
        r"profiles\.hardware\.a\.instanceType: .* did you mean g6\.xlarge.*; profiles\.prices\.g5\.xlrge: .*g5\.xlarge",
    ),
    "an image pattern that allows too much is refused": (
        "profiles: {allowedImages: ['*']}",
        r"profiles\.allowedImages\.0: String should match",
    ),
}


@pytest.mark.parametrize(("text", "want"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused(tmp_path, text, want):
    with pytest.raises(ConfigError, match=want):
        load(written(tmp_path, text))


def test_an_election_is_off_until_it_is_asked_for(tmp_path):
    assert not load(None).leader_election.enabled
    election = load(written(tmp_path, "leaderElection: {enabled: true, namespace: system}")).leader_election
    assert (election.enabled, election.namespace, election.name) == (True, "system", "finetune-operator")


def test_a_wrong_file_stops_the_operator_with_the_wrong_key(tmp_path, capsys):
    assert main(["--config", str(written(tmp_path, "worker: 3"))]) == 2
    assert "worker" in capsys.readouterr().err


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")
