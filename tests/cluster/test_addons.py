"""What other people's charts are told, so that they start what we built."""

import json

import addons
import pytest
import tools


@pytest.mark.parametrize("name", addons.ADDONS)
def test_a_chart_is_told_of_the_image_that_we_load(name):
    addon = addons.ADDONS[name]
    told = json.dumps(addon.values)
    repository, version = addon.image.tag.split(":")
    assert f'"repository": "{repository}", "tag": "{version}"' in told
    assert version == tools.PROGRAMS[name].module.version
    assert '"pullPolicy": "IfNotPresent"' in told, "nothing can be pulled"


def test_an_image_holds_the_program_and_nothing_else(own_cache):
    image = addons.ADDONS["kueue"].image
    assert image.sources == {"manager": tools.PROGRAMS["kueue"].path}
    assert image.dockerfile.read_text("utf-8").splitlines()[1] == "FROM scratch"


def test_no_addon_takes_cpu_that_training_needs():
    assert all('"cpu": "50m"' in json.dumps(addon.values) for addon in addons.ADDONS.values())
