"""Files of a real object store."""

import hashlib
import io
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import FailureReason, RemoteSource, S3Source
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.sources import retries
from finetune_trainer.sources.fetch import fetch

minio = pytest.importorskip("minio")

ROWS = b'{"text": "a row of a bucket"}\n' * 100
PART = 5 * 1024 * 1024


@pytest.fixture
def bucket(object_store):
    """Give an empty object store with one bucket, by the client that fills it."""
    urllib.request.urlopen(urllib.request.Request(f"{object_store}/moto-api/reset", method="POST")).close()
    client = minio.Minio(object_store.removeprefix("http://"), access_key="a", secret_key="b", secure=False)
    client.make_bucket("rows")

    def put(key, content=ROWS, **how):
        client.put_object("rows", key, io.BytesIO(content), len(content), **how)

    return put


@pytest.fixture
def fetched(a_run, tmp_path, object_store, monkeypatch):
    """Fetch rows from the object store and give them by name."""
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "word", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"DATASET_AWS_{name}", value)

    def fetch_rows(uri, endpoint=None, prefix="DATASET_"):
        s3 = S3Source(uri=uri, endpoint=endpoint or object_store, credentials_prefix=prefix)
        run = a_run(dataset__remote=RemoteSource(field="spec.dataset.source.s3", s3=s3))
        folder = Path(fetch(replace(run, cache_directory=str(tmp_path / "cache"))).dataset.path)
        files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".source.json")
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    return fetch_rows


def test_a_file_is_fetched(bucket, fetched):
    bucket("team/rows.jsonl")
    bucket("team/rows.jsonl.bak")
    assert fetched("s3://rows/team/rows.jsonl") == {"rows.jsonl": ROWS}


def test_the_files_of_a_folder_that_hold_rows_are_fetched(bucket, fetched):
    for key in ("team/a/rows.jsonl", "team/b.csv.gz", "team/readme.md", "team/.hidden.jsonl", "teams/other.jsonl"):
        bucket(key)
    assert fetched("s3://rows/team") == {"a/rows.jsonl": ROWS, "b.csv.gz": ROWS}


def test_a_file_that_was_uploaded_in_parts_comes_whole(bucket, fetched):
    content = bytes(range(256)) * (PART // 256 * 2 + 1)
    bucket("rows.jsonl", content, part_size=PART)
    (found,) = fetched("s3://rows/rows.jsonl").values()
    assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()


def test_the_next_attempt_finds_what_was_fetched(bucket, fetched):
    bucket("rows.jsonl")
    fetched("s3://rows/rows.jsonl")
    bucket("rows.jsonl", b"another")
    assert fetched("s3://rows/rows.jsonl") == {"rows.jsonl": ROWS}


def test_the_next_attempt_goes_on_where_one_broke(bucket, fetched, tmp_path, monkeypatch):
    bucket("a.jsonl")
    bucket("b.jsonl", ROWS * 2)
    written = []
    whole = minio.Minio.get_object

    def broken(self, _bucket, key, **how):
        written.append((key, how.get("offset", 0)))
        answer = whole(self, _bucket, key, **how)
        if key == "b.jsonl" and len(written) == 2:
            monkeypatch.setattr(answer, "stream", lambda _size: iter([ROWS]))
        return answer

    monkeypatch.setattr(minio.Minio, "get_object", broken)
    monkeypatch.setattr(retries, "TRIES", 1)
    with pytest.raises(TrainerFailure, match=r"b\.jsonl: the connection broke") as caught:
        fetched("s3://rows/")
    assert caught.value.reason is FailureReason.TRAINER_ERROR
    assert fetched("s3://rows/") == {"a.jsonl": ROWS, "b.jsonl": ROWS * 2}
    assert written == [("a.jsonl", 0), ("b.jsonl", 0), ("b.jsonl", len(ROWS))]


def test_a_file_that_comes_damaged_comes_again(bucket, fetched, monkeypatch):
    bucket("rows.jsonl")
    whole, damaged = minio.Minio.get_object, []

    def damage(self, *where, **how):
        answer = whole(self, *where, **how)
        if not damaged:
            damaged.append(answer)
            monkeypatch.setattr(answer, "stream", lambda _size: iter([ROWS.upper()]))
        return answer

    monkeypatch.setattr(minio.Minio, "get_object", damage)
    assert fetched("s3://rows/rows.jsonl") == {"rows.jsonl": ROWS}


MODEL_FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}", "vocab.txt": b"a"}
PROGRAMS = ("pytorch_model.bin", "modeling_own.py", "original/consolidated.pth")


@pytest.fixture
def fetched_model(a_run, tmp_path, object_store, monkeypatch):
    """Fetch a model from the object store and give its files by name."""
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "word", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"MODEL_AWS_{name}", value)

    def fetch_model(uri):
        s3 = S3Source(uri=uri, endpoint=object_store, credentials_prefix="MODEL_")
        run = a_run(model__path=None, model__remote=RemoteSource(field="spec.model.source.s3", s3=s3))
        model = fetch(replace(run, cache_directory=str(tmp_path / "cache"))).model
        assert model.remote is None
        files = (file for file in Path(model.path).rglob("*") if file.is_file() and file.name != ".source.json")
        return {str(file.relative_to(model.path)): file.read_bytes() for file in files}

    return fetch_model


def test_a_model_comes_without_what_could_be_a_program(bucket, fetched_model):
    for name, content in {**MODEL_FILES, **dict.fromkeys(PROGRAMS, b"program")}.items():
        bucket(f"models/minilm/{name}", content)
    assert fetched_model("s3://rows/models/minilm") == MODEL_FILES


def test_a_model_that_is_not_there_is_not_found(bucket, fetched_model):
    bucket("models/other/config.json", b"{}")
    with pytest.raises(TrainerFailure, match=r"spec\.model\.source\.s3: .*holds no file that can be used") as caught:
        fetched_model("s3://rows/models/minilm")
    assert caught.value.reason is FailureReason.MODEL_NOT_FOUND


MISSING = {
    "bucket": ("s3://nothing/rows.jsonl", "the storage says NoSuchBucket: check bucket and key"),
    "key": ("s3://rows/nothing.jsonl", "holds no file that can be used; name the folder or the file"),
}


@pytest.mark.parametrize("missing", MISSING)
def test_what_is_not_there_is_invalid_data(bucket, fetched, missing):
    uri, message = MISSING[missing]
    with pytest.raises(TrainerFailure, match=message) as caught:
        fetched(uri)
    assert caught.value.reason is FailureReason.DATA_INVALID
    assert caught.value.message.startswith("spec.dataset.source.s3: ")


@pytest.mark.parametrize(("prefix", "way_out"), [("DATASET_", "check the keys"), (None, "name a Secret in secretRef")])
def test_keys_that_do_not_open_it_are_a_failed_authentication(plain_web, fetched, prefix, way_out):
    error = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    plain_web.answer = lambda handler: handler.reply(403, error, Content_Type="application/xml")
    with pytest.raises(TrainerFailure, match=f"the storage says AccessDenied: {way_out}") as caught:
        fetched("s3://rows/rows.jsonl", endpoint=plain_web.url, prefix=prefix)
    assert caught.value.reason is FailureReason.AUTH_FAILED
    signed = "Authorization" in plain_web.asked[-1][1]
    assert signed is (prefix is not None)


def test_a_store_that_is_away_fails_the_attempt(fetched, capsys):
    with pytest.raises(TrainerFailure, match=r"http://localhost:1 does not answer: .* \(6 tries\)") as caught:
        fetched("s3://rows/rows.jsonl", endpoint="http://localhost:1")
    assert caught.value.reason is FailureReason.TRAINER_ERROR
    assert "word" not in caught.value.message + capsys.readouterr().out
