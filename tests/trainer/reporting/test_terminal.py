"""What a person sees who carries out a run on a terminal, and a log without one."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from finetune_trainer.contract import to_json

TRAINER = Path(__file__).parents[3] / "trainer"
SHOWN_SECONDS = 30
"""Longest that a run of nothing may take, imports included."""

PROGRAM = """
import sys
from pathlib import Path
from finetune_trainer.contract import TrainerPhase
from finetune_trainer.process.attempt import carry_out

def recipe(attempt):
    attempt.journal.enter(TrainerPhase.TRAINING)
    print("a line of the log")
    attempt.journal.advance(step=3, total_steps=4, loss=1.25, tokens_per_second=1790.4, eta_seconds=12)
    {end}

sys.exit(carry_out(Path(sys.argv[1]), recipe))
"""


@pytest.fixture
def command(tmp_path, a_run):
    def make(end="pass"):
        (tmp_path / "run.json").write_text(to_json(a_run()))
        return [sys.executable, "-c", PROGRAM.format(end=end), str(tmp_path / "run.json")]

    return make


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TRAINER), "TERM": "xterm", "COLUMNS": "100"}


@pytest.fixture
def on_a_terminal(command):
    """Carry out a run on a terminal and give all that it wrote there."""

    def carry(end="pass"):
        ours, its = pty.openpty()
        process = subprocess.Popen(command(end), env=ENVIRONMENT, stdin=its, stdout=its, stderr=its)
        os.close(its)
        with os.fdopen(ours, "rb", buffering=0) as screen:
            written = b"".join(_until_closed(screen))
        process.wait(timeout=SHOWN_SECONDS)
        return written.decode()

    return carry


def _until_closed(screen):
    while True:
        try:
            part = screen.read(4096)
        except OSError:  # Linux says so when nobody holds the other end any more
            return
        yield part


SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def test_a_terminal_shows_a_bar_under_the_lines(on_a_terminal):
    written = on_a_terminal()
    assert "step 3/4, loss 1.2500, 1,790 tokens/s, 12 s left" in written
    assert "━" in written
    assert "a line of the log\r\n" in written
    assert "Succeeded at step 3: \r\n" in written


@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 15)"])
def test_a_run_that_ends_at_once_leaves_the_cursor_where_it_was_seen(on_a_terminal, end):
    written = on_a_terminal(f"import os; {end}")
    assert HIDE_CURSOR in written
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_a_log_has_the_lines_alone(command):
    done = subprocess.run(command(), env=ENVIRONMENT, capture_output=True, text=True, timeout=SHOWN_SECONDS, check=True)
    assert "a line of the log" in done.stdout.splitlines()
    assert "\x1b" not in done.stdout + done.stderr
    assert "step 3/4" not in done.stdout
