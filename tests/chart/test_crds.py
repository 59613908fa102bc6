"""The CustomResourceDefinition in the chart."""

from finetune_operator.api.schema import crd

KEEP = "helm.sh/resource-policy"


def rendered_crd(rendered, **crds):
    return rendered({"crds": crds}).only("CustomResourceDefinition")


def test_the_chart_installs_the_definition_that_the_models_make(default):
    body = default.only("CustomResourceDefinition")
    assert body["spec"] == crd()["spec"]
    assert body["metadata"]["name"] == crd()["metadata"]["name"]


def test_the_definition_and_with_it_all_jobs_outlive_the_release(default):
    assert default.only("CustomResourceDefinition")["metadata"]["annotations"] == {KEEP: "keep"}


def test_the_definition_goes_with_the_release_where_that_is_wanted(rendered):
    assert "annotations" not in rendered_crd(rendered, keep=False)["metadata"]


def test_annotations_are_added_and_do_not_undo_keeping(rendered):
    body = rendered_crd(rendered, annotations={"a": "b", KEEP: "other"})
    assert body["metadata"]["annotations"] == {"a": "b", KEEP: "keep"}


def test_the_definition_can_be_left_to_somebody_else(rendered):
    assert "CustomResourceDefinition" not in rendered({"crds": {"install": False}}).kinds()


def test_the_definition_stays_far_below_what_an_object_may_weigh(default):
    assert len(str(default.only("CustomResourceDefinition"))) < 250_000
