"""Image archives: what the node's containerd reads from them."""

import io
import json
import tarfile

import archive
import load


def members(path):
    with tarfile.open(path) as opened:
        return {m.name: opened.extractfile(m).read() for m in opened.getmembers() if m.isfile()}


def a_layer(name="code.py", text=b"x = 1\n"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def a_thin_archive(tmp_path, layer):
    below = [archive.Blob("application/vnd.docker.image.rootfs.diff.tar", "sha256:" + "a" * 64, 6_000_000_000)]
    engine_image = {"Architecture": "amd64", "Os": "linux", "Config": {"Entrypoint": ["python"], "User": "1000:1000"}}
    config = load.thin_config(engine_image, ["sha256:" + "b" * 64], [layer])
    out = tmp_path / "thin.tar"
    image_id = archive.write_thin_oci(out, "docker.io/library/x:dev", config=config, below=below, layers=[layer])
    return members(out), image_id


def blob(found, digest):
    return found["blobs/sha256/" + digest.removeprefix("sha256:")]


def test_thin_archive_holds_the_upper_layer_and_only_names_the_lower(tmp_path):
    layer = a_layer()
    found, _ = a_thin_archive(tmp_path, layer)
    manifest = json.loads(blob(found, json.loads(found["index.json"])["manifests"][0]["digest"]))
    lower, upper = manifest["layers"]
    assert lower["size"] == 6_000_000_000
    assert blob(found, upper["digest"]) == layer
    assert sum(map(len, found.values())) < 20_000


def test_thin_archive_config_keeps_the_engine_settings_and_stacks_the_layers(tmp_path):
    layer = a_layer()
    found, image_id = a_thin_archive(tmp_path, layer)
    config = json.loads(blob(found, image_id))
    assert config["config"]["User"] == "1000:1000"
    assert config["rootfs"]["diff_ids"] == ["sha256:" + "b" * 64, archive.digest_of(layer)]


def test_thin_archive_gives_the_image_its_full_name(tmp_path):
    found, _ = a_thin_archive(tmp_path, a_layer())
    entry = json.loads(found["index.json"])["manifests"][0]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/x:dev"


def test_changed_code_is_another_image(tmp_path):
    ids = {a_thin_archive(tmp_path, a_layer(text=text))[1] for text in (b"x = 1\n", b"x = 2\n")}
    assert len(ids) == 2


def test_images_of_one_folder_share_its_layer(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "server").write_bytes(b"binary")
    images = [archive.FolderImage(tmp_path / "root", (tag,)) for tag in ("a:1", "b:1")]
    archive.write_docker_archive(tmp_path / "images.tar", images)
    found = members(tmp_path / "images.tar")
    manifest = json.loads(found["manifest.json"])
    assert [entry["RepoTags"] for entry in manifest] == [["a:1"], ["b:1"]]
    assert len({entry["Layers"][0] for entry in manifest}) == 1


def test_equal_folders_give_equal_archives_whatever_their_times(tmp_path):
    archives = []
    for name in ("one", "two"):
        root = tmp_path / name / "root"
        root.mkdir(parents=True)
        (root / "f").write_text("same")
        archive.write_docker_archive(tmp_path / f"{name}.tar", [archive.FolderImage(root, ("a:1",))])
        archives.append((tmp_path / f"{name}.tar").read_bytes())
    assert archives[0] == archives[1]


def test_layers_of_a_saved_image_come_lowest_first(tmp_path):
    saved = tmp_path / "saved.tar"
    with tarfile.open(saved, "w") as tar:
        for name, raw in (
            ("2/layer.tar", b"upper"),
            ("1/layer.tar", b"lower"),
            ("manifest.json", json.dumps([{"Layers": ["1/layer.tar", "2/layer.tar"]}]).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    assert archive.layers_of(saved) == [b"lower", b"upper"]
