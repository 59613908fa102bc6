"""How the operator starts, or says why it cannot, and how its commands are called."""

import os
import socket
import subprocess
import sys

import pytest
from finetune_operator.runtime.cli import CANNOT_START, COMMANDS, main

ENDS_WITHIN = 30
"""Seconds, of which the imports take one or two."""


# A process of its own: libraries read the environment at import.
def start(config, **environment):
    command = [sys.executable, "-m", "finetune_operator", "--config", str(config)]
    clean = {name: value for name, value in os.environ.items() if name != "KUBERNETES_SERVICE_HOST"}
    clean |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=ENDS_WITHIN, env=clean)


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = tmp_path / "config.yaml"
        config.write_text(f"{{server: {{port: {port}}}}}")
        ended = start(config)
    assert ended.returncode == CANNOT_START
    assert f"server.port {port}" in ended.stderr


def test_without_a_cluster_the_way_out_is_named(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("{server: {port: 0}}")
    ended = start(config, KUBECONFIG=str(tmp_path / "none"))
    assert ended.returncode == CANNOT_START
    assert "set KUBECONFIG" in ended.stderr


def test_the_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"finetune_operator {name}" in " ".join(text.split()) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: finetune_operator {name} " in capsys.readouterr().out


def test_a_word_that_is_no_command_is_answered_with_those_there_are(capsys):
    assert main(["plann", "job.yaml"]) == 2
    assert "no command 'plann'; did you mean plan? Commands are plan, catalog, top" in capsys.readouterr().err
    assert main(["zzz"]) == 2
    assert "no command 'zzz'; Commands are plan" in capsys.readouterr().err
