"""How values of pins are read."""

import pytest
from finetune_operator.runtime.commands.pins import readers


@pytest.mark.parametrize(("text", "want"), {"true": True, "yes": True, "false": False, "no": False}.items())
def test_a_switch_is_read_in_both_ways_of_saying_it(text, want):
    assert readers.switch(text) is want


@pytest.mark.parametrize(("text", "gib"), {"24GiB": 24, "8GB": 8, "79.2 GiB": 79.2, "16g": 16}.items())
def test_memory_is_that_of_a_card(text, gib):
    assert readers.memory(text) == int(gib * 2**30)


@pytest.mark.parametrize("text", ["24", "GiB", "-3GB", "3 MB"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(ValueError, match="must be an amount of memory"):
        readers.memory(text)
