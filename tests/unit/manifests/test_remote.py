"""What a pod fetches, and which Secrets reach it."""

from builders import KEY, a_job
from finetune_operator.manifests import remote
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.pod import pod_spec
from finetune_operator.manifests.run_config import trainer_run
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_trainer.contract import HttpsSource, HubSource, OciSource, RemoteSource, S3Source

MODEL = {"name": "all-MiniLM-L6-v2"}
TOKEN = {"name": "hub", "key": "token"}
S3 = {"uri": "s3://bucket/rows", "endpoint": "http://minio:9000", "secretRef": {"name": "keys"}}
OCI = {"image": "registry.example/rows:1", "path": "data", "pullSecretRef": {"name": "pull"}}
HUB = {"name": "stanfordnlp/imdb", "subset": "plain", "revision": "main", "tokenSecretRef": TOKEN}


def built(**fields):
    spec, profiles = a_job(**fields), Profiles()
    attempt = Attempt(KEY, spec, plan(spec, profiles), profiles, 1)
    return trainer_run(attempt), pod_spec(attempt)


def variables(pod):
    """The variables of a pod that come from Secrets: name to secret, key and whether it may be missing."""
    found = (
        (one["name"], one["valueFrom"]["secretKeyRef"]) for one in pod["containers"][0]["env"] if "valueFrom" in one
    )
    return {name: (where["name"], where["key"], where.get("optional", False)) for name, where in found}


def rows(source):
    return {"dataset": {"source": source}}


def test_what_is_mounted_is_not_fetched():
    run, pod = built()
    assert (run.model.remote, run.dataset.remote, run.dataset.validation_remote) == (None, None, None)
    assert variables(pod) == {}


def test_a_model_without_a_source_is_the_hubs():
    run, _pod = built(model=MODEL)
    hub = HubSource(repository=MODEL["name"])
    assert (run.model.path, run.model.remote) == (None, RemoteSource(field="spec.model", hub=hub))


def test_a_token_reaches_the_pod_as_a_variable_of_its_role():
    run, pod = built(model={**MODEL, "source": {"hub": {}}, "tokenSecretRef": TOKEN}, **rows({"hub": HUB}))
    assert run.model.remote.hub == HubSource(repository=MODEL["name"], token_variable="MODEL_HF_TOKEN")
    assert run.dataset.remote.hub == HubSource(
        repository="stanfordnlp/imdb",
        subset="plain",
        split="train",
        revision="main",
        token_variable="DATASET_HF_TOKEN",
    )
    assert variables(pod) == dict.fromkeys(("MODEL_HF_TOKEN", "DATASET_HF_TOKEN"), ("hub", "token", False))


def test_keys_of_an_object_store_reach_the_pod_and_two_stores_stay_apart():
    other = {"uri": "s3://other/held-out", "secretRef": {"name": "others"}}
    run, pod = built(dataset={"source": {"s3": S3}, "validation": {"source": {"s3": other}}})
    assert run.dataset.remote == RemoteSource(
        field="spec.dataset.source.s3",
        s3=S3Source(uri=S3["uri"], endpoint="http://minio:9000", credentials_prefix="DATASET_"),
    )
    assert run.dataset.validation_remote.s3.credentials_prefix == "VALIDATION_"
    assert (run.dataset.path, run.dataset.validation_path) == ("", None)
    found = variables(pod)
    assert found["DATASET_AWS_SECRET_ACCESS_KEY"] == ("keys", "AWS_SECRET_ACCESS_KEY", False)
    assert found["DATASET_AWS_REGION"] == ("keys", "AWS_REGION", True)
    assert found["VALIDATION_AWS_ACCESS_KEY_ID"] == ("others", "AWS_ACCESS_KEY_ID", False)


def test_a_pull_secret_is_mounted_for_the_trainer_to_read():
    run, pod = built(model={**MODEL, "source": {"oci": OCI}})
    path = "/etc/finetune-secrets/model/config.json"
    assert run.model.remote.oci == OciSource(image=OCI["image"], path="data", docker_config=path)
    (volume,) = (each for each in pod["volumes"] if "secret" in each)
    assert volume["secret"]["secretName"] == "pull"
    assert volume["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == volume["name"])
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/finetune-secrets/model", True)


def test_without_a_secret_nothing_is_shown():
    open_s3, open_oci = {"uri": "s3://bucket/model"}, {"image": "registry.example/rows:1"}
    run, pod = built(model={**MODEL, "source": {"s3": open_s3}}, **rows({"oci": open_oci}))
    assert run.model.remote.s3 == S3Source(uri="s3://bucket/model")
    assert run.dataset.remote.oci == OciSource(image="registry.example/rows:1")
    assert variables(pod) == {}
    assert not [volume for volume in pod["volumes"] if "secret" in volume]


def test_a_web_address_keeps_its_checksum():
    source = {"url": "https://example.org/rows.jsonl", "sha256": "0" * 64}
    run, _pod = built(**rows({"https": source}))
    assert run.dataset.remote.https == HttpsSource(**source)


def test_roles_do_not_depend_on_each_other():
    spec = a_job(**rows({"hub": HUB}))
    assert remote.model(spec) is None
    assert remote.validation(spec) is None
    assert remote.dataset(spec) is not None


def test_every_secret_is_known_by_the_field_that_names_it():
    found = remote.secrets(
        a_job(
            model=MODEL | {"tokenSecretRef": TOKEN},
            dataset={"source": {"s3": S3}, "validation": {"source": {"oci": OCI}}},
        )
    )
    assert list(found) == [
        ("hub", "spec.model.tokenSecretRef"),
        ("keys", "spec.dataset.source.s3.secretRef"),
        ("pull", "spec.dataset.validation.source.oci.pullSecretRef"),
    ]
    (rows_token,) = remote.secrets(a_job(**rows({"hub": HUB})))
    assert rows_token == ("hub", "spec.dataset.source.hub.tokenSecretRef")
    assert list(remote.secrets(a_job())) == []
