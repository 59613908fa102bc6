import hashlib
import re
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import FailureReason, HttpsSource, RemoteSource, to_json
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.sources import retries, store, transport
from finetune_trainer.sources.fetch import fetch, presentable
from finetune_trainer.sources.problems import Invalid
from finetune_trainer.sources.transport import Zone, shown, zone_of
from finetune_trainer.sources.writing import Meter, write

CONTENT = b'{"text": "a row of the web"}\n' * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = {"ETag": '"v1"'}


@pytest.fixture
def fetched(a_run, tmp_path, web):
    """Fetch rows from the web server; the job's volume stays the same from one call to the next."""

    def fetch_rows(path="/rows.jsonl", sha256=None):
        https = HttpsSource(url=web.url + path, sha256=sha256)
        remote = RemoteSource(field="spec.dataset.source.https", https=https)
        found = fetch(replace(a_run(dataset__remote=remote), cache_directory=str(tmp_path / "cache")))
        (file,) = (each for each in Path(found.dataset.path).iterdir() if not each.name.startswith("."))
        return file

    return fetch_rows


def test_a_file_comes_whole_and_under_its_name(fetched, web):
    web.answer = lambda handler: handler.reply(200, CONTENT)
    file = fetched(sha256=SHA256)
    assert (file.name, file.read_bytes()) == ("rows.jsonl", CONTENT)


def test_the_next_attempt_finds_it(fetched, web):
    web.answer = lambda handler: handler.reply(200, CONTENT)
    assert fetched() == fetched()
    assert len(web.asked) == 1


def test_a_damaged_copy_is_fetched_again(fetched, web):
    web.answer = lambda handler: handler.reply(200, CONTENT)
    fetched().write_bytes(CONTENT[:100])
    assert fetched().read_bytes() == CONTENT


def test_another_file_than_the_sha256_says_is_invalid_data(fetched, web):
    web.answer = lambda handler: handler.reply(200, CONTENT + b"more")
    with pytest.raises(
        TrainerFailure, match=f"has sha256 .*, asked for is {SHA256}: the file is another one"
    ) as caught:
        fetched(sha256=SHA256)
    assert caught.value.reason is FailureReason.DATA_INVALID
    assert caught.value.message.startswith("spec.dataset.source.https: ")


def breaking_after(count):
    """Answer the first request with some of the file, and others with what they ask for."""

    def answer(handler):
        begin = int(re.sub(r"\D", "", handler.headers.get("Range", "0")))
        if len(handler.server.asked) == 1:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(CONTENT)))
            handler.send_header("ETag", ETAG["ETag"])
            handler.end_headers()
            handler.wfile.write(CONTENT[:count])
            handler.close_connection = True
        else:
            handler.reply(206 if begin else 200, CONTENT[begin:], **ETAG)

    return answer


def test_a_broken_download_goes_on_where_it_broke(fetched, web):
    web.answer = breaking_after(500)
    assert fetched(sha256=SHA256).read_bytes() == CONTENT
    headers = web.asked[1][1]
    assert (headers["Range"], headers["If-Range"]) == ("bytes=500-", '"v1"')


def test_the_next_attempt_goes_on_too(fetched, web, monkeypatch):
    monkeypatch.setattr(retries, "TRIES", 1)
    web.answer = breaking_after(500)
    with pytest.raises(TrainerFailure, match="the connection broke 28,500 bytes before the end") as caught:
        fetched()
    assert caught.value.reason is FailureReason.TRAINER_ERROR
    assert fetched().read_bytes() == CONTENT
    assert web.asked[1][1]["Range"] == "bytes=500-"


def test_a_file_that_changed_meanwhile_comes_anew(fetched, web):
    broken = breaking_after(500)

    def answer(handler):
        broken(handler) if len(handler.server.asked) == 1 else handler.reply(200, CONTENT.upper(), ETag='"v2"')

    web.answer = answer
    assert fetched().read_bytes() == CONTENT.upper()


def test_a_busy_server_is_asked_again(fetched, web):
    web.answer = lambda handler: handler.reply(*((503,) if len(web.asked) < 3 else (200, CONTENT)))
    assert fetched().read_bytes() == CONTENT


def test_a_server_that_stays_away_fails_the_attempt_and_not_the_data(fetched, web, capsys):
    web.answer = lambda handler: handler.reply(503)
    with pytest.raises(TrainerFailure, match=r"rows.jsonl answers 503 .*\(6 tries\)") as caught:
        fetched(path="/rows.jsonl?signature=secret")
    assert caught.value.reason is FailureReason.TRAINER_ERROR
    assert "secret" not in caught.value.message + capsys.readouterr().out


STATUS = {
    401: (FailureReason.AUTH_FAILED, "not open to everybody"),
    403: (FailureReason.AUTH_FAILED, "not open to everybody"),
    404: (FailureReason.DATA_INVALID, "there is no such file"),
    418: (FailureReason.DATA_INVALID, "answers 418"),
}


@pytest.mark.parametrize("status", STATUS)
def test_what_the_server_refuses_is_told_at_once(fetched, web, status):
    web.answer = lambda handler: handler.reply(status)
    reason, message = STATUS[status]
    with pytest.raises(TrainerFailure, match=message) as caught:
        fetched()
    assert (caught.value.reason, len(web.asked)) == (reason, 1)


def test_the_name_that_the_server_gives_counts(fetched, web):
    disposition = 'attachment; filename="../../rows.csv"'
    web.answer = lambda handler: handler.reply(200, b"text\na\n", Content_Disposition=disposition)
    assert fetched(path="/download?id=3").name == "rows.csv"


def test_a_redirect_is_followed(fetched, web):
    def answer(handler):
        found = handler.path == "/there/rows.jsonl"
        handler.reply(200, CONTENT) if found else handler.reply(302, Location="/there/rows.jsonl")

    web.answer = answer
    assert fetched().read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["http://example.org/rows", "ftp://example.org/rows", "file:///etc/passwd"])
def test_a_redirect_to_another_scheme_is_refused(fetched, web, target):
    web.answer = lambda handler: handler.reply(302, Location=target)
    with pytest.raises(TrainerFailure, match="which is not https"):
        fetched()


def test_a_redirect_to_the_clouds_credentials_is_refused(fetched, web):
    web.answer = lambda handler: handler.reply(302, Location="https://169.254.169.254/latest/meta-data")
    with pytest.raises(TrainerFailure, match="where a job has no business") as caught:
        fetched()
    assert caught.value.reason is FailureReason.DATA_INVALID


def test_a_public_server_cannot_send_a_job_to_private_addresses(fetched, web, monkeypatch):
    seen = iter([Zone.PUBLIC])
    monkeypatch.setattr(transport, "zone_of", lambda _address: next(seen, Zone.PRIVATE))
    here = [(2, 1, 6, "", ("127.0.0.1", web.server_port))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: here)
    web.answer = lambda handler: handler.reply(302, Location=web.url.replace("localhost", "127.0.0.1") + "/rows.jsonl")
    with pytest.raises(TrainerFailure, match="where a job has no business"):
        fetched()


def test_redirects_without_end_are_refused(fetched, web):
    web.answer = lambda handler: handler.reply(302, Location="/again")
    with pytest.raises(TrainerFailure, match="more than 5 redirects"):
        fetched()


def test_a_certificate_that_nobody_trusts_is_told(fetched, web, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(TrainerFailure, match="certificate that is not trusted") as caught:
        fetched()
    assert caught.value.reason is FailureReason.DATA_INVALID


def test_more_than_was_announced_is_not_written(tmp_path):
    with pytest.raises(Invalid, match="is longer than the 5 bytes"):
        write(iter([b"abc", b"def"]), tmp_path / "file", Meter("it", 5), limit=5)


def test_a_file_for_which_there_is_no_room_is_told(fetched, web, monkeypatch):
    web.answer = lambda handler: handler.reply(200, CONTENT)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000}))
    with pytest.raises(TrainerFailure, match="29,000 bytes are to be fetched, 10,000 are free") as caught:
        fetched()
    assert caught.value.reason is FailureReason.STORAGE_FULL


def test_what_would_fill_the_volume_goes_to_the_pods_own_disk(fetched, web, monkeypatch, capsys):
    web.answer = lambda handler: handler.reply(200, CONTENT)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 40_000}))
    assert store.SCRATCH in fetched().parents
    assert "raise spec.checkpoints.storage.template.size to keep them" in capsys.readouterr().out


def test_an_image_that_trusts_nobody_trusts_the_usual_authorities(monkeypatch, tmp_path):
    nobody = ssl.get_default_verify_paths()._replace(cafile=None, capath=str(tmp_path))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: nobody)
    assert len(transport.trusted().get_ca_certs()) > 50


def test_a_signature_is_not_shown_in_reports(a_run):
    remotes = [
        RemoteSource(field="spec", https=HttpsSource(url=f"https://example.org/{name}.csv?signature=secret"))
        for name in ("rows", "held-out")
    ]
    run = a_run(dataset__remote=remotes[0], dataset__validation_remote=remotes[1])
    said = to_json(presentable(run))
    assert "https://example.org/held-out.csv" in said
    assert "secret" not in said
    assert presentable(a_run()) == a_run()


ZONES = {
    "8.8.8.8": Zone.PUBLIC,
    "2606:4700::1": Zone.PUBLIC,
    "10.0.0.1": Zone.PRIVATE,
    "127.0.0.1": Zone.PRIVATE,
    "::1": Zone.PRIVATE,
    "::ffff:10.0.0.1": Zone.PRIVATE,
    "169.254.169.254": Zone.FORBIDDEN,
    "::ffff:169.254.169.254": Zone.FORBIDDEN,
    "fd00:ec2::254": Zone.FORBIDDEN,
    "fe80::1%eth0": Zone.FORBIDDEN,
    "0.0.0.0": Zone.FORBIDDEN,
}


@pytest.mark.parametrize(("address", "want"), ZONES.items())
def test_addresses_are_public_private_or_forbidden(address, want):
    assert zone_of(address) is want


def test_an_address_is_shown_without_what_may_be_secret():
    assert shown("https://user:word@example.org:8443/a/b?token=x#y") == "https://example.org:8443/a/b"
