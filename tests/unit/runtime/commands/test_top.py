"""What people without Grafana see of their jobs."""

import io

import pytest
from finetune_operator.cluster.errors import NotFound, Unreachable
from finetune_operator.runtime.cli import main
from finetune_operator.runtime.commands import top
from rich.console import Console

NOW = 1_767_225_900.0
"""2026-01-01T00:05:00Z."""


def a_job(name, phase=None, created="2026-01-01T00:00:00Z", **status):
    body = {"metadata": {"namespace": "team", "name": name, "uid": name, "creationTimestamp": created}}
    return body | ({"status": {"phase": phase} | status} if phase else {})


COLUMNS = {"step": "60/120", "loss": "0.31", "eta": "1m10s", "devices": "1xcpu", "attempt": "2", "reason": "Training"}
RUNNING = a_job("reviews", "Running", progress={"percent": 50, "step": 60, "loss": 0.31}, columns=COLUMNS)
MISSING = "Claim 'rows' does not exist; create it"
WAITING = a_job("early", "Pending", columns={"reason": "ClaimNotFound"}, message=MISSING, progress=None)


class Server:
    """A cluster with these jobs, or with this error."""

    def __init__(self, jobs=(), error=None):
        self.jobs, self.error, self.asked = list(jobs), error, []

    async def list(self, _resource, namespace):
        self.asked.append(namespace)
        if self.error:
            raise self.error
        return self.jobs

    async def close(self):
        self.asked.append("closed")


@pytest.fixture
def cluster(monkeypatch):
    def serve(*jobs, error=None):
        server = Server(jobs, error)

        async def connect():
            return server

        monkeypatch.setattr(top, "_connect", connect)
        monkeypatch.setattr(top.clock, "now", lambda: NOW)
        return server

    return serve


def test_a_running_job_shows_how_far_it_is_and_how_long_it_takes(cluster, capsys):
    cluster(RUNNING)
    assert main(["top", "--once"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    for text in ("team/reviews", "Running", "50%", "60/120", "0.31", "1m10s", "1xcpu", "2", "5m", "Training"):
        assert text in line


def test_a_waiting_job_says_what_it_waits_for(cluster, capsys):
    cluster(WAITING)
    main(["top", "--once"])
    text = capsys.readouterr().out
    assert "ClaimNotFound" in text.splitlines()[1]
    assert f"team/early: {MISSING}" in text


def test_names_are_never_cut_for_programs(cluster, capsys):
    long = a_job("x" * 60, "Running", columns=COLUMNS, progress={"percent": 5})
    cluster(long)
    main(["top", "--once"])
    assert "team/" + "x" * 60 in capsys.readouterr().out


def test_jobs_that_need_a_look_come_first_and_ended_ones_last(cluster, capsys):
    old, new = a_job("old", "Succeeded", created="2025-01-01T00:00:00Z"), a_job("new", "Failed")
    cluster(old, new, WAITING, RUNNING)
    main(["top", "--once"])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("team/") and ":" not in line.split()[0]]
    assert names == ["team/reviews", "team/early", "team/new", "team/old"]


def test_a_job_that_the_operator_has_not_seen_yet_is_shown(cluster, capsys):
    cluster(a_job("brand-new"))
    main(["top", "--once"])
    assert "team/brand-new" in capsys.readouterr().out


def test_one_namespace_can_be_asked_for(cluster):
    server = cluster()
    main(["top", "--once", "-n", "team"])
    assert server.asked == ["team", "closed"]


def test_an_empty_cluster_says_where_to_begin(cluster, capsys):
    cluster()
    main(["top", "--once"])
    assert "examples/" in capsys.readouterr().out


ERRORS = {
    "install": NotFound(404, "the server could not find the requested resource"),
    "connection refused": Unreachable(0, "connection refused"),
}


@pytest.mark.parametrize(("said", "error"), ERRORS.items())
def test_what_keeps_the_jobs_from_being_read_is_told(cluster, capsys, said, error):
    server = cluster(error=error)
    assert main(["top", "--once"]) == 1
    assert said in capsys.readouterr().err
    assert server.asked[-1] == "closed"


def test_losses_become_a_line_of_bars_with_a_step_counted_once():
    losses = top.Losses()
    for step, loss in ((1, 0.8), (1, 0.8), (2, 0.5), (3, 0.1)):
        losses.note([a_job("a", "Running", progress={"step": step, "loss": loss})])
    kept = losses.of(a_job("a"))
    assert kept == (0.8, 0.5, 0.1)
    line = top.sparkline(kept)
    assert len(line) == 3
    assert (line[0], line[-1]) in {("█", "▁"), ("@", "_")}


def test_losses_of_a_job_that_is_gone_are_forgotten():
    losses = top.Losses()
    losses.note([a_job("a", "Running", progress={"step": 1, "loss": 0.8})])
    losses.note([])
    assert losses.of(a_job("a")) == ()


def learning(step, loss):
    return RUNNING | {"status": RUNNING["status"] | {"progress": {"percent": 50, "step": step, "loss": loss}}}


def test_several_looks_draw_the_course_of_the_loss_and_one_cannot(cluster, capsys, monkeypatch):
    server = cluster(learning(1, 0.9))

    async def pass_on(seconds):
        server.jobs = [learning(len(server.asked) + 1, 0.9 / (len(server.asked) + 1))]

    monkeypatch.setattr(top.asyncio, "sleep", pass_on)
    main(["top", "--once"])
    assert "COURSE" not in capsys.readouterr().out
    server.asked.clear()
    main(["top", "--once", "--looks", "3"])
    header, line = capsys.readouterr().out.splitlines()[:2]
    course = line[header.index("COURSE") :].split()[0]
    assert len(course) == 3
    assert (course[0], course[-1]) in {("█", "▁"), ("@", "_")}


def drawn(jobs, width, height, said=""):
    """The lines of a screen of this size."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(top.table(jobs, top.Losses(), NOW, room=top.Room(width, height), said=said))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 100, 72, 50, 30])
def test_a_narrow_terminal_goes_without_columns_and_cuts_none(width):
    lines = drawn([RUNNING], width, 20)
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    assert "team/reviews" in lines[1]
    shown = lines[0].split()
    assert shown[:2] == ["JOB", "PHASE"]
    assert ("PROGRESS" in shown, "LOSS" in shown, "AGE" in shown) == (width >= 50, width >= 50, width >= 100)


def test_a_name_that_is_wider_than_the_terminal_goes_on_in_the_next_line():
    name = "x" * 60
    lines = drawn([a_job(name, "Running")], 40, 20)
    assert "".join(line.split(" ")[0] for line in lines[1:]) == f"team/{name}"


def test_jobs_that_a_screen_has_no_line_for_are_counted():
    lines = drawn([a_job(f"job-{number}", "Running") for number in range(50)], 120, 20)
    assert len(lines) == 20
    assert lines[-1].startswith("and 32 more")


def test_explanations_are_there_as_far_as_there_are_lines():
    waiting = [a_job(f"job-{number}", "Pending", message=MISSING) for number in range(8)]
    lines = drawn(waiting, 120, 20)
    assert len(lines) <= 20
    assert sum(MISSING in line for line in lines) == 5


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


def test_a_pipe_gets_the_table_once(cluster, capsys):
    cluster(RUNNING)
    assert main(["top"]) == 0
    assert "team/reviews" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_an_answer_that_does_not_come_once_does_not_end_the_live_table(cluster, monkeypatch):
    server, drawn_tables = cluster(RUNNING), []
    monkeypatch.setattr(top, "table", lambda jobs, *_, said, **__: drawn_tables.append((jobs, said)) or "")

    async def pass_on(_seconds):
        if len(drawn_tables) == 3:
            raise KeyboardInterrupt
        server.error = Unreachable(0, "connection refused") if len(drawn_tables) == 1 else None

    monkeypatch.setattr(top.asyncio, "sleep", pass_on)
    assert main(["top"]) == 0
    assert [jobs for jobs, _said in drawn_tables] == [[RUNNING]] * 3
    assert ["refused" in said for _jobs, said in drawn_tables] == [False, True, False]


def test_a_level_loss_is_a_level_line():
    assert len(set(top.sparkline([0.5, 0.5, 0.5]))) == 1
    assert top.sparkline([0.5]) == ""


@pytest.mark.parametrize(("percent", "full"), [(0, 0), (50, 5), (100, 10), (140, 10)])
def test_a_bar_is_as_full_as_the_job(percent, full):
    letters = top.paper.letters()
    assert top.bar(percent).count(letters.full) == full
    assert top.bar(None) == ""


@pytest.mark.parametrize(("seconds", "want"), [(0, "0s"), (100, "100s"), (300, "5m"), (9000, "2h"), (4e5, "4d")])
def test_an_age_is_one_number(seconds, want):
    assert top.age(seconds) == want


@pytest.mark.parametrize("wrong", ["0", "soon", "1e9"])
def test_a_wrong_time_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["top", "--every", wrong])
    assert "between 0.5 and 3600" in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_the_live_table_is_drawn_until_somebody_stops_it(cluster, monkeypatch):
    server = cluster(RUNNING)
    looks = []

    async def stop(seconds):
        looks.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(top.asyncio, "sleep", stop)
    assert main(["top", "--every", "2"]) == 0
    assert looks == [2.0]
    assert server.asked[0] == ""
