"""Images and artifacts of a real registry."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import FailureReason, OciSource, RemoteSource
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.sources.fetch import fetch
from finetune_trainer.sources.oci.registry import parse

OCI = "application/vnd.oci.image"
ROWS = b'{"text": "a row of an image"}\n'
SECRET = base64.b64encode(b"reader:secret").decode()


class Pusher:
    """Pushes to a registry in the words of the specification."""

    def __init__(self, host, repository, authorization=""):
        self.image = f"{host}/{repository}"
        self._url = f"http://{host}/v2/{repository}"
        self._authorization = {"Authorization": authorization} if authorization else {}

    def blob(self, content, media_type, **annotations):
        upload = self._send("POST", f"{self._url}/blobs/uploads/", b"").headers["Location"]
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._send("PUT", f"{upload}&digest={digest}", content, "application/octet-stream")
        return {"mediaType": media_type, "digest": digest, "size": len(content), "annotations": annotations}

    def layer(self, files, *, pack=gzip.compress):
        """Push an archive; a value is content, or a link's target after "->" or, for a hard link, "=>"."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                if isinstance(content, str):
                    member.type = tarfile.SYMTYPE if content.startswith("->") else tarfile.LNKTYPE
                    member.linkname = content[2:]
                    tar.addfile(member)
                else:
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        return self.blob(pack(packed.getvalue()), f"{OCI}.layer.v1.tar+gzip")

    def file(self, name, content=ROWS):
        return self.blob(content, "application/vnd.example", **{"org.opencontainers.image.title": name})

    def manifest(self, *layers, tag="v1"):
        config = self.blob(b"{}", f"{OCI}.config.v1+json")
        body = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": layers}
        return self.put(body, tag)

    def put(self, body, tag):
        sent = json.dumps(body).encode()
        self._send("PUT", f"{self._url}/manifests/{tag}", sent, body["mediaType"])
        return {
            "mediaType": body["mediaType"],
            "digest": f"sha256:{hashlib.sha256(sent).hexdigest()}",
            "size": len(sent),
        }

    def _send(self, method, url, content, kind="application/json"):
        headers = {"Content-Type": kind, **self._authorization}
        with urllib.request.urlopen(urllib.request.Request(url, content, headers, method=method)) as answer:
            return answer


@pytest.fixture
def pusher(registry, request):
    return Pusher(registry, request.node.name.partition("[")[0].lower()[:60])


@pytest.fixture
def fetched(a_run, tmp_path):
    """Fetch the rows of an image and give them by name."""

    def fetch_rows(image, path=None, docker_config=None):
        oci = OciSource(image=image, path=path, docker_config=docker_config)
        run = a_run(dataset__remote=RemoteSource(field="spec.dataset.source.oci", oci=oci))
        folder = Path(fetch(replace(run, cache_directory=str(tmp_path / "cache"))).dataset.path)
        files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".source.json")
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    return fetch_rows


def test_an_artifacts_files_come_under_their_titles(pusher, fetched):
    pusher.manifest(pusher.file("train/rows.jsonl"), pusher.file("readme.md", b"no rows"))
    assert fetched(f"{pusher.image}:v1") == {"train/rows.jsonl": ROWS}


def test_a_path_chooses_among_an_artifacts_files(pusher, fetched):
    pusher.manifest(pusher.file("train/rows.jsonl"), pusher.file("test/rows.jsonl", b"{}"))
    assert fetched(f"{pusher.image}:v1", "train") == {"rows.jsonl": ROWS}


def test_a_path_of_an_image_is_unpacked_layer_over_layer(pusher, fetched):
    lower = {"./data/rows.jsonl": b"old", "data/gone.jsonl": b"x", "data/old/a.jsonl": b"x", "etc/passwd.json": b"x"}
    upper = {"data/rows.jsonl": ROWS, "data/.wh.gone.jsonl": b"", "data/old/.wh..wh..opq": b"", "data/old/b.csv": b"t"}
    pusher.manifest(pusher.layer(lower), pusher.layer(upper))
    assert fetched(f"{pusher.image}:v1", "data") == {"old/b.csv": b"t", "rows.jsonl": ROWS}


MODEL_FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}"}


@pytest.fixture
def fetched_model(a_run, tmp_path):
    """Fetch the model of an image and give its files by name."""

    def fetch_model(image, path):
        remote = RemoteSource(field="spec.model.source.oci", oci=OciSource(image=image, path=path))
        run = a_run(model__path=None, model__remote=remote)
        model = fetch(replace(run, cache_directory=str(tmp_path / "cache"))).model
        assert model.remote is None
        files = (file for file in Path(model.path).iterdir() if file.name != ".source.json")
        return {file.name: file.read_bytes() for file in files}

    return fetch_model


def test_a_model_comes_without_what_could_be_a_program(pusher, fetched_model):
    files = {f"models/minilm/{name}": content for name, content in MODEL_FILES.items()}
    programs = {"models/minilm/pytorch_model.bin": b"pickle", "models/minilm/modeling_own.py": b"program"}
    pusher.manifest(pusher.layer({**files, **programs, "etc/passwd.json": b"x"}))
    assert fetched_model(f"{pusher.image}:v1", "models/minilm") == MODEL_FILES


def test_a_model_that_is_not_there_is_not_found(pusher, fetched_model):
    pusher.manifest(pusher.layer({"rows.jsonl": ROWS}))
    with pytest.raises(TrainerFailure, match=r"spec\.model\.source\.oci: no usable file at 'model'") as caught:
        fetched_model(f"{pusher.image}:v1", "model")
    assert caught.value.reason is FailureReason.MODEL_NOT_FOUND


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_layers_may_be_packed_or_not(pusher, fetched, pack):
    pusher.manifest(pusher.layer({"rows.jsonl": ROWS}, pack=pack))
    assert fetched(f"{pusher.image}:v1") == {"rows.jsonl": ROWS}


def test_a_digest_and_the_image_of_an_index_are_found(pusher, fetched):
    other = {"architecture": "s390x", "os": "linux"}
    unknown = {"architecture": "unknown", "os": "unknown"}
    image = pusher.manifest(pusher.file("rows.jsonl"), tag="one")
    attestation = pusher.manifest(pusher.file("rows.jsonl", b"{}"), tag="two")
    listed = [{**attestation, "platform": unknown}, {**image, "platform": other}]
    index = pusher.put({"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": listed}, "v1")
    assert fetched(f"{pusher.image}:v1") == {"rows.jsonl": ROWS}
    assert fetched(f"{pusher.image}@{index['digest']}") == {"rows.jsonl": ROWS}


def test_the_next_attempt_finds_what_was_fetched(pusher, fetched, capsys):
    pusher.manifest(pusher.file("rows.jsonl"))
    fetched(f"{pusher.image}:v1")
    pusher.manifest(pusher.file("rows.jsonl", b"another"))
    capsys.readouterr()
    assert fetched(f"{pusher.image}:v1") == {"rows.jsonl": ROWS}
    assert "here already (digest sha256:" in capsys.readouterr().out


TRAVERSALS = {
    "../../outside.jsonl": "outside.jsonl",
    "/outside.jsonl": "outside.jsonl",
    "data/../../../outside.jsonl": "outside.jsonl",
}


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_name_in_an_image_cannot_lead_out_of_the_folder(pusher, fetched, tmp_path, name):
    pusher.manifest(pusher.layer({name: ROWS}))
    assert fetched(f"{pusher.image}:v1") == {TRAVERSALS[name]: ROWS}
    assert not list(tmp_path.parent.glob("outside.jsonl"))


@pytest.mark.parametrize("title", ["../outside.jsonl", "/tmp/outside.jsonl", "a/../../outside.jsonl"])
def test_a_title_that_leads_out_of_the_folder_is_refused(pusher, fetched, title):
    pusher.manifest(pusher.file(title))
    with pytest.raises(TrainerFailure, match=r"leads out of the folder|no usable file in") as caught:
        fetched(f"{pusher.image}:v1")
    assert caught.value.reason is FailureReason.DATA_INVALID


def test_links_inside_the_path_become_files(pusher, fetched):
    files = {"data/blobs/1.jsonl": ROWS, "data/a.jsonl": "->blobs/1.jsonl", "data/b.jsonl": "=>data/blobs/1.jsonl"}
    pusher.manifest(pusher.layer(files))
    assert fetched(f"{pusher.image}:v1", "data") == dict.fromkeys(("a.jsonl", "b.jsonl", "blobs/1.jsonl"), ROWS)


@pytest.mark.parametrize("target", ["->/etc/passwd", "->../../../../etc/passwd", "=>etc/passwd"])
def test_a_link_cannot_lead_to_files_of_the_machine(pusher, fetched, target):
    pusher.manifest(pusher.layer({"data/rows.jsonl": target}))
    with pytest.raises(TrainerFailure, match="is a link to etc/passwd, which is not below the path 'data'"):
        fetched(f"{pusher.image}:v1", "data")


def test_a_folder_behind_a_link_cannot_be_written_through(pusher, fetched, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    pusher.manifest(pusher.layer({"data.csv": f"->{outside}", "data.csv/rows.jsonl": ROWS}))
    with pytest.raises(TrainerFailure, match=r"data\.csv is a link to"):
        fetched(f"{pusher.image}:v1")
    assert list(outside.iterdir()) == []


def test_a_layer_that_is_no_archive_is_told(pusher, fetched):
    pusher.manifest(pusher.blob(b"\x28\xb5\x2f\xfd and so on", f"{OCI}.layer.v1.tar+zstd"))
    with pytest.raises(TrainerFailure, match="build the image with gzip layers"):
        fetched(f"{pusher.image}:v1")


def test_a_path_without_files_is_told(pusher, fetched):
    pusher.manifest(pusher.layer({"rows.jsonl": ROWS}))
    with pytest.raises(TrainerFailure, match=r"no usable file at 'data' in .*; name its path"):
        fetched(f"{pusher.image}:v1", "data")


def test_a_missing_image_is_not_found(pusher, fetched):
    with pytest.raises(TrainerFailure, match="the registry has no such image") as caught:
        fetched(f"{pusher.image}:v1")
    assert caught.value.reason is FailureReason.DATA_INVALID


def test_a_registry_that_is_away_fails_the_attempt(fetched):
    with pytest.raises(TrainerFailure, match="does not answer") as caught:
        fetched("localhost:1/rows:v1")
    assert caught.value.reason is FailureReason.TRAINER_ERROR


@pytest.fixture
def docker_config(closed_registry, tmp_path):
    """Write a Docker configuration, as a Secret of that type holds it."""

    def write(entry):
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"auths": {closed_registry: entry}}))
        return str(file)

    return write


ENTRIES = {"auth": {"auth": SECRET}, "user and password": {"username": "reader", "password": "secret"}}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_pull_secret_opens_a_registry(closed_registry, fetched, docker_config, entry):
    pusher = Pusher(closed_registry, "rows", f"Basic {SECRET}")
    pusher.manifest(pusher.file("rows.jsonl"))
    assert fetched(f"{pusher.image}:v1", docker_config=docker_config(entry)) == {"rows.jsonl": ROWS}


def test_without_the_right_secret_it_stays_closed(closed_registry, fetched, docker_config):
    image = f"{closed_registry}/rows:v1"
    with pytest.raises(TrainerFailure, match="401: it needs pullSecretRef") as caught:
        fetched(image)
    assert caught.value.reason is FailureReason.AUTH_FAILED
    with pytest.raises(TrainerFailure, match="401: its credentials do not open it"):
        fetched(image, docker_config=docker_config({"username": "reader", "password": "wrong"}))
    with pytest.raises(TrainerFailure, match=r"holds no \.dockerconfigjson"):
        fetched(image, docker_config="/nowhere")


def test_a_token_is_fetched_where_the_registry_asks_for_one(plain_web, fetched, docker_config):
    manifest = {"mediaType": f"{OCI}.manifest.v1+json", "layers": []}
    challenge = f'Bearer realm="{plain_web.url}/token?x=1",service="here",scope="repository:rows:pull"'

    def answer(handler):
        if handler.path.startswith("/token"):
            handler.reply(200, b'{"token": "a-token"}')
        elif handler.headers.get("Authorization") == "Bearer a-token":
            handler.reply(200, json.dumps(manifest).encode())
        else:
            handler.reply(401, WWW_Authenticate=challenge)

    plain_web.answer = answer
    with pytest.raises(TrainerFailure, match="no usable file in"):
        fetched(f"localhost:{plain_web.server_port}/rows:v1")
    assert plain_web.asked[1][0] == "/token?x=1&service=here&scope=repository%3Arows%3Apull"


def test_a_broken_layer_is_gone_on_with_and_checked(plain_web, fetched):
    digest = f"sha256:{hashlib.sha256(ROWS).hexdigest()}"
    layer = {"digest": digest, "size": len(ROWS), "annotations": {"org.opencontainers.image.title": "rows.jsonl"}}

    def answer(handler):
        begin = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        if "manifests" in handler.path:
            handler.reply(200, json.dumps({"layers": [layer]}).encode())
        elif begin:
            handler.reply(206, ROWS[begin:])
        else:
            handler.reply(200, ROWS[:10], Content_Length=str(len(ROWS)))
            handler.close_connection = True

    plain_web.answer = answer
    assert fetched(f"localhost:{plain_web.server_port}/rows:v1") == {"rows.jsonl": ROWS}
    assert plain_web.asked[-1][1]["Range"] == "bytes=10-"


def test_a_layer_that_is_another_one_is_refused(plain_web, fetched):
    layer = {"digest": "sha256:" + "0" * 64, "size": 5, "annotations": {"org.opencontainers.image.title": "a.jsonl"}}
    body = json.dumps({"layers": [layer]}).encode()
    plain_web.answer = lambda handler: handler.reply(200, body if "manifests" in handler.path else b"other")
    with pytest.raises(TrainerFailure, match="does not have that digest; push the image again"):
        fetched(f"localhost:{plain_web.server_port}/rows:v1")


NAMES = {
    "ubuntu": "https://registry-1.docker.io/v2/library/ubuntu latest",
    "team/rows:v1": "https://registry-1.docker.io/v2/team/rows v1",
    "registry.example/team/rows:v1": "https://registry.example/v2/team/rows v1",
    "registry.example:5000/rows@sha256:00": "https://registry.example:5000/v2/rows sha256:00",
    "localhost:5000/rows": "http://localhost:5000/v2/rows latest",
    "registry.tools.svc:5000/rows": "http://registry.tools.svc:5000/v2/rows latest",
}


@pytest.mark.parametrize("image", NAMES)
def test_names_of_images_are_read_as_docker_reads_them(image):
    found = parse(image)
    assert f"{found.url} {found.version}" == NAMES[image]
