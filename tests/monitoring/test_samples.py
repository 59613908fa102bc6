"""A recording is what was scraped: times, labels of targets, names that break quotes."""

import gzip

from neighbours import add_to_text
from samples import Recording, read

TARGET = {"job": "trainers", "namespace": "from-the-target", "pod": "a-1-x"}
TEXT = """# TYPE steps counter
steps_total{namespace="exposed",path="a\\\\b\\"c"} 3
# TYPE python_info gauge
python_info 1
"""


def a_recording() -> Recording:
    recording = Recording()
    for when in (100.0, 105.0):
        recording.add(TEXT, TARGET, when)
        recording.up(TARGET, when, answers=True)
    return recording


def lines(text, name):
    return [line for line in text.splitlines() if line.startswith(f"{name}{{")]


def test_every_sample_has_its_time_and_the_exposed_label_wins():
    labels = 'job="trainers",namespace="exposed",path="a\\\\b\\"c",pod="a-1-x"'
    found = lines("".join(a_recording().openmetrics()), "steps_total")
    assert found == [f"steps_total{{{labels}}} 3 100.000", f"steps_total{{{labels}}} 3 105.000"]


def test_prometheus_takes_it(promtool, tmp_path):
    a_recording().write(tmp_path / "a.om")
    code, said = promtool("tsdb", "create-blocks-from", "openmetrics", tmp_path / "a.om", tmp_path / "data")
    assert code == 0, said


def test_what_no_panel_asks_for_is_left_out():
    assert "python_info" not in "".join(a_recording().openmetrics())


def test_it_is_read_back_from_a_compressed_file_that_is_the_same_each_time(tmp_path):
    for name in ("one.om.gz", "two.om.gz"):
        a_recording().write(tmp_path / name)
    assert (tmp_path / "one.om.gz").read_bytes() == (tmp_path / "two.om.gz").read_bytes()
    assert read(tmp_path / "one.om.gz") == "".join(a_recording().openmetrics())
    assert gzip.decompress((tmp_path / "one.om.gz").read_bytes()).endswith(b"# EOF\n")


def test_neighbours_measure_the_pods_of_a_recording_while_they_live():
    recording = a_recording()
    for when in (100.0, 105.0, 110.0):
        labels = {"namespace": "team", "finetunejob": "a", "pod": "a-1-x", "node": "n", "role": "rank0", "rank": "0"}
        recording.put("finetune_job_pod_info", "gauge", "finetune_job_pod_info", labels, (when, 1.0))
    text = add_to_text("".join(recording.openmetrics()), idle="a-")
    busy = lines(text, "DCGM_FI_DEV_GPU_UTIL")
    assert [line.rsplit(" ", 2)[1:] for line in busy] == [["3.0", "100.000"], ["3.0", "105.000"], ["3.0", "110.000"]]
    assert all('exported_pod="a-1-x"' in line for line in busy)
    assert lines(text, "finetune_job_pod_info")
    assert lines(text, "kueue_admission_wait_time_seconds_bucket")
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1
