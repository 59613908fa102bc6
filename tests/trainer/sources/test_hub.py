"""Models and data sets of a server that answers as the hub does."""

import json
import urllib.parse
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import FailureReason, HubSource, RemoteSource
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.sources.fetch import fetch

constants = pytest.importorskip("huggingface_hub.constants")

COMMIT = "a" * 40
MODEL = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "pytorch_model.bin": b"a program",
    "onnx/config.json": b"{}",
}
ROWS = {"README.md": b"# rows", "train.jsonl": b'{"text": "caf\xc3\xa9"}\n' * 3, "test.jsonl": b'{"text": "b"}\n'}
TREE = [
    {"type": "file", "path": name, "size": len(content), "oid": "1" * 40}
    for name, content in (ROWS | MODEL).items()
    if name in ROWS
]


class Hub:
    """Knows a model `team/model`, closed but for the token `word`, and a data set `team/rows`."""

    def __init__(self, web):
        self.url, self.web, self.failures = web.url, web, {}
        web.answer = self.answer

    def answer(self, handler):
        path = urllib.parse.urlsplit(urllib.parse.unquote(handler.path)).path
        if path in self.failures:
            status, code = self.failures[path]
            handler.reply(status, **({"X_Error_Code": code} if code else {}))
        elif path.startswith("/api/models/team/model"):
            self._described(handler, MODEL)
        elif "/tree/" in path:
            handler.reply(200, json.dumps(TREE).encode(), Content_Type="application/json")
        elif path.startswith("/api/datasets/team/rows/paths-info"):
            body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
            asked = urllib.parse.parse_qs(body).get("paths", []) if "=" in body else json.loads(body)["paths"]
            found = [each for each in TREE if each["path"] in asked]
            handler.reply(200, json.dumps(found).encode(), Content_Type="application/json")
        elif path.startswith("/api/datasets/team/rows"):
            self._described(handler, ROWS)
        elif "/resolve/" in path:
            self._file(handler, path)
        else:
            handler.reply(404, X_Error_Code="RepoNotFound")

    def _described(self, handler, files):
        siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
        name = "team/model" if files is MODEL else "team/rows"
        body = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": [], "downloads": 0, "private": False}
        handler.reply(200, json.dumps(body).encode(), Content_Type="application/json")

    def _file(self, handler, path):
        content = (MODEL if "/model/" in path else ROWS).get(path.rpartition(f"{COMMIT}/")[2])
        if content is None:
            handler.reply(404, X_Error_Code="EntryNotFound")
            return
        headers = {"ETag": f'"{hash(content)}"', "X_Repo_Commit": COMMIT, "Content_Length": str(len(content))}
        handler.reply(200, b"" if handler.command == "HEAD" else content, **headers)


@pytest.fixture
def hub(plain_web, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", plain_web.url)
    for name in (
        "HF_HUB_OFFLINE",
        "HF_DATASETS_OFFLINE",
    ):  # which a run here left, and a child takes
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(constants, "ENDPOINT", plain_web.url)
    template = plain_web.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return Hub(plain_web)


def files_of(folder):
    files = (file for file in sorted(Path(folder).rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if ".source.json" not in str(file)}


@pytest.fixture
def fetched_model(a_run, tmp_path):
    def fetch_model(revision=None, token=None):
        hub = HubSource(repository="team/model", revision=revision, token_variable=token)
        run = a_run(model__remote=RemoteSource(field="spec.model.source.hub", hub=hub))
        return files_of(fetch(replace(run, cache_directory=str(tmp_path / "cache"))).model.path)

    return fetch_model


def test_a_models_files_come_without_programs(hub, fetched_model):
    found = fetched_model()
    assert {name: found[name] for name in found if not name.startswith(".")} == {
        "config.json": b"{}",
        "model.safetensors": MODEL["model.safetensors"],
    }


def test_the_next_attempt_does_not_ask_the_hub(hub, fetched_model):
    fetched_model()
    asked = len(hub.web.asked)
    fetched_model()
    assert len(hub.web.asked) == asked


def test_the_token_of_the_secret_is_shown(hub, fetched_model, monkeypatch):
    monkeypatch.setenv("MODEL_HF_TOKEN", "word")
    fetched_model(token="MODEL_HF_TOKEN")
    assert {headers.get("Authorization") for _path, headers in hub.web.asked} == {"Bearer word"}


def test_no_other_token_of_the_image_is_shown(hub, fetched_model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "the administrator's")
    fetched_model()
    assert not [headers for _path, headers in hub.web.asked if "Authorization" in headers]


REFUSED = {
    "gated": (403, "GatedRepo", FailureReason.AUTH_FAILED, "accept its terms on the hub, and set tokenSecretRef"),
    "forbidden": (403, "", FailureReason.AUTH_FAILED, "the hub answers 403 for team/model: set tokenSecretRef"),
    "missing": (404, "RepoNotFound", FailureReason.MODEL_NOT_FOUND, "the hub has no team/model, or it is private"),
    "no revision": (404, "RevisionNotFound", FailureReason.MODEL_NOT_FOUND, "team/model has no revision main"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_the_hub_refuses_is_told_by_its_kind(hub, fetched_model, refused):
    status, code, reason, message = REFUSED[refused]
    hub.failures["/api/models/team/model/revision/main"] = (status, code)
    with pytest.raises(TrainerFailure, match=message) as caught:
        fetched_model(revision="main")
    assert caught.value.reason is reason


def test_a_hub_that_cannot_be_reached_names_the_other_way(hub, fetched_model):
    hub.web.shutdown()
    hub.web.server_close()
    with pytest.raises(
        TrainerFailure, match=r"the hub is not reachable from here: .*; else bring team/model on a claim"
    ):
        fetched_model()


@pytest.fixture
def fetched_rows(a_run, tmp_path):
    def fetch_rows(**source):
        remote = RemoteSource(field="spec.dataset.source.hub", hub=HubSource(repository="team/rows", **source))
        run = a_run(dataset__remote=remote)
        return files_of(fetch(replace(run, cache_directory=str(tmp_path / "cache"))).dataset.path)

    return fetch_rows


def test_a_split_of_a_data_set_becomes_json_lines(hub, fetched_rows):
    assert fetched_rows(split="train") == {"rows.jsonl": ROWS["train.jsonl"]}


def test_a_split_that_is_not_there_is_told(hub, fetched_rows):
    with pytest.raises(TrainerFailure, match=r"team/rows: .*(?i:split)") as caught:
        fetched_rows(split="validation")
    assert caught.value.reason is FailureReason.DATA_INVALID
