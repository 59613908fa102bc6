"""The instance types of the catalog."""

import datetime as dt
from collections import Counter

import pytest
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Provider, Vendor

ALL = catalog.instances()


def each(instances):
    return pytest.mark.parametrize("instance", instances, ids=lambda one: one.name)


def test_three_clouds_sell_at_least_ten_each_and_forty_together():
    assert len(ALL) >= 40
    sold = Counter(one.provider for one in ALL)
    assert set(sold) == set(Provider)
    assert min(sold.values()) >= 10


def test_every_cloud_sells_machines_without_accelerator():
    assert {one.provider for one in ALL if one.accelerator == "cpu"} == set(Provider)


def test_no_two_instance_types_share_a_name():
    assert len({one.name.casefold() for one in ALL}) == len(ALL)


@each(ALL)
def test_an_instance_types_accelerator_is_in_the_catalog_by_its_key(instance):
    accelerator = catalog.find_accelerator(instance.accelerator)
    assert accelerator.key == instance.accelerator
    assert (instance.devices == 0) is (accelerator.vendor is Vendor.CPU)


@each(ALL)
def test_a_price_is_positive_and_has_a_day_a_region_and_a_source(instance):
    assert 0 < instance.price_usd_per_hour < 200
    assert dt.date(2024, 1, 1) <= instance.price_date
    assert instance.region
    assert instance.source


@each(ALL)
def test_a_machine_has_a_plausible_size(instance):
    assert 1 <= instance.memory_bytes / 2**30 / instance.cpus <= 32
    assert instance.cpus >= 2


@each([one for one in ALL if one.devices > 1])
def test_more_of_a_kind_cost_more(instance):
    fewer = [
        one
        for one in ALL
        if (one.provider, one.accelerator) == (instance.provider, instance.accelerator)
        and one.devices < instance.devices
    ]
    assert all(one.price_usd_per_hour < instance.price_usd_per_hour for one in fewer)


def test_the_cheapest_machine_may_have_more_devices_than_asked():
    assert catalog.cheapest("nvidia-t4", 1).name == "g4dn.xlarge"
    assert catalog.cheapest("nvidia-t4", 3).devices == 4


def test_what_nobody_sells_has_no_cheapest():
    assert catalog.cheapest("nvidia-t4", 9) is None
    assert catalog.cheapest("nvidia-rtx-3090", 1) is None


def test_an_instance_type_is_found_in_any_letter_case():
    assert catalog.find_instance("standard_nc24ads_a100_v4").devices == 1
    assert catalog.find_instance("p9.huge") is None


def test_a_misspelt_instance_type_is_answered_with_some_like_it():
    assert "p5.48xlarge" in catalog.nearest_instances("p5.49xlarge")
