"""The command `catalog`."""

import json

import pytest
from finetune_operator.planning import catalog
from finetune_operator.runtime.commands import paper
from finetune_operator.runtime.commands.catalog import FOUND, NOTHING, PARTS, main


@pytest.mark.parametrize("part", PARTS)
def test_every_entry_is_shown_whole_and_in_columns(part, capsys):
    assert main([part]) == FOUND
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= paper.WIDTH
    assert not [line for line in lines if "…" in line]
    for entry in PARTS[part].entries():
        name = entry.description if part == "techniques" else entry.names[0]
        assert any(line.startswith(f"{name} ") or line == name for line in lines), name


@pytest.mark.parametrize("part", PARTS)
def test_every_entry_is_told_to_programs(part, capsys):
    assert main([part, "-o", "json"]) == FOUND
    assert len(json.loads(capsys.readouterr().out)) == len(PARTS[part].entries())


def test_the_table_of_techniques_has_54_answers(capsys):
    main(["techniques"])
    rows = [line.split()[-6:] for line in capsys.readouterr().out.splitlines()[1:10]]
    assert [[cell == "Y" for cell in row] for row in rows] == [
        [catalog.serves(scenario.id, technique) for technique in catalog.Technique] for scenario in catalog.scenarios()
    ]
    assert {cell for row in rows for cell in row} == {"Y", "N"}


def test_a_technique_that_does_not_serve_comes_with_advice(capsys):
    main(["techniques", "-o", "json", "--match", "reduce-cost"])
    (row,) = json.loads(capsys.readouterr().out)
    assert row["techniques"]["lora"]["serves"]
    assert row["techniques"]["dora"]["instead"] == ["lora", "qlora", "deepspeed", "zero"]
    assert row["techniques"]["dora"]["reason"]


MATCHES = {
    "models": ("PHI-3-medium", 2),
    "accelerators": ("mi300", 1),
    "instances": ("nvidia-h200", 2),
    "techniques": ("cost", 1),
}


@pytest.mark.parametrize(("part", "text", "want"), [(part, *match) for part, match in MATCHES.items()])
def test_entries_are_found_by_any_of_their_names(part, text, want, capsys):
    assert main([part, "-o", "json", "--match", text]) == FOUND
    assert len(json.loads(capsys.readouterr().out)) == want


@pytest.mark.parametrize(
    ("form", "want"), [("table", "nothing in the catalog's models matches 'zzz'\n"), ("json", "[]\n")]
)
def test_nothing_found_has_an_exit_status_of_its_own(form, want, capsys):
    assert main(["models", "-o", form, "--match", "zzz"]) == NOTHING
    assert capsys.readouterr().out == want


def test_what_is_sold_has_a_price_and_what_has_no_device_no_speed(capsys):
    main(["accelerators"])
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines["cpu"] == ["cpu", "30%"]
    assert lines["nvidia-t4"][-2:] == ["$0.53/h", "1"]
