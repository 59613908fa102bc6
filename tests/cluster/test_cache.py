"""Keys: what changes them and what does not."""

import os

import cache


def a_tree(top, text="x = 1\n"):
    (top / "package").mkdir(parents=True)
    (top / "package" / "a.py").write_text(text)
    return top


def test_key_frames_its_parts():
    assert cache.key("ab", "c") != cache.key("a", "bc")


def test_tree_key_ignores_times_and_bytecode(tmp_path):
    one, two = a_tree(tmp_path / "one"), a_tree(tmp_path / "two")
    os.utime(two / "package" / "a.py", (1, 1))
    (two / "package" / "__pycache__").mkdir()
    (two / "package" / "__pycache__" / "a.pyc").write_bytes(b"code")
    assert cache.key_of_tree(one) == cache.key_of_tree(two)


def test_tree_key_sees_contents_names_and_modes(tmp_path):
    first = a_tree(tmp_path / "one")
    other = a_tree(tmp_path / "two", "x = 2\n")
    renamed = a_tree(tmp_path / "three")
    (renamed / "package" / "a.py").rename(renamed / "package" / "b.py")
    executable = a_tree(tmp_path / "four")
    (executable / "package" / "a.py").chmod(0o755)
    assert len({cache.key_of_tree(top) for top in (first, other, renamed, executable)}) == 4


def test_a_lock_is_its_pins_not_its_comments(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("# made by uv\na==1 \\\n    --hash=sha256:00\n    # via b\n")
    two.write_text("a==1 \\\n    --hash=sha256:00\n    # via b, c\n\n")
    assert cache.source_lines(one) == cache.source_lines(two)


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("FINETUNE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == tmp_path / "finetune-operator"
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "named"))
    assert cache.root() == tmp_path / "named"
