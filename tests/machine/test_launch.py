"""How a process was started: alone, by torchrun, or as a task of a Slurm step."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sslkit.errors import UserError
from sslkit.machine.launch import PORTS, Launch, first_host, launch, per_node, port_of
from tests.cli.call import sslkit

# what srun 22.05 sets for a task of `srun -N 2 -n 3` and what matters here
TASK = {
    **{"SLURM_JOB_ID": "33", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "3", "SLURM_STEP_NUM_TASKS": "3"},
    **{"SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1", "SLURM_STEP_TASKS_PER_NODE": "2,1"},
    **{"SLURM_JOB_NODELIST": "gpu[03-05]", "SLURM_STEP_NODELIST": "gpu[04-05]"},
}
BATCH = {
    "SLURM_JOB_ID": "33",
    "SLURM_NTASKS": "3",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_JOB_NODELIST": "a",
}
TORCHRUN = {
    **{"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"},
    **{"MASTER_ADDR": "there", "MASTER_PORT": "29500"},
}


@pytest.fixture(autouse=True)
def _no_scontrol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_task_of_a_step_has_its_place_in_a_run() -> None:
    port = port_of("33.0")
    assert launch(TASK) == Launch("srun", 2, 3, 0, 1, "gpu04", port, "33.0")
    first = TASK | {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}
    assert launch(first) == Launch("srun", 1, 3, 1, 2, "gpu04", port, "33.0")
    assert launch(TASK | {"SLURM_GPUS_PER_TASK": "1"}).own_gpus
    bare = {k: v for k, v in TASK.items() if not k.startswith("SLURM_STEP_") or k == "SLURM_STEP_ID"}
    assert launch(bare) == Launch("srun", 2, 3, 0, 1, "gpu03", port, "33.0")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        BATCH,  # a batch script, or a shell of salloc: no srun, nobody else comes
        BATCH | {"SLURM_STEP_ID": str(0xFFFFFFFB)},  # as some versions number the script itself,
        BATCH | {"SLURM_STEP_ID": str(0xFFFFFFFA), "SLURM_STEP_NUM_TASKS": "1"},  # and a shell of salloc
        TASK | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
        TASK | {"SLURM_STEP_NUM_TASKS": "1"},  # a step of one task in a job of several
        TASK | {"WORLD_SIZE": "1"},
        TASK | TORCHRUN | {"WORLD_SIZE": "1"},
    ],
)
def test_who_is_alone_waits_for_nobody(environment: dict[str, str]) -> None:
    assert launch(environment) == Launch()


def test_who_types_into_a_shell_of_several_tasks_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`srun -n 4 --pty bash` is how many ask for four cores."""

    class Terminal:
        closed = False

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert launch(TASK) == Launch()
    monkeypatch.setattr(sys, "stdin", None)
    assert launch(TASK).world == 3


def test_torchrun_comes_first_also_within_a_job() -> None:
    expected = Launch("torchrun", 3, 4, 1, 2, "there", 29500)
    assert launch(TORCHRUN) == launch(TASK | TORCHRUN) == expected


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (TASK | {"SLURM_PROCID": "x"}, "SLURM_PROCID must be a whole number, got 'x'"),
        (TASK | {"SLURM_STEP_NODELIST": "", "SLURM_JOB_NODELIST": ""}, "SLURM_JOB_NODELIST is not"),
        (TORCHRUN | {"MASTER_PORT": ""}, "MASTER_PORT must be a whole number"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set and RANK is not; start several processes by torchrun"),
    ],
)
def test_what_is_not_told_is_a_line(environment: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        launch(environment)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("vm", "vm"),
        ("a,b", "a"),
        ("gpu[03-05,9],login", "gpu03"),
        ("gpu[7,9]", "gpu7"),
        ("rack[1-2]node[10-12],z", "rack1node10"),
        ("n1.example.org,n2.example.org", "n1.example.org"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str, tmp_path: Path) -> None:
    assert first_host(nodes) == first
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "told $1 $2 $3"\necho other\n')
    scontrol.chmod(0o755)
    assert first_host(nodes) == "told"
    scontrol.write_text("#!/bin/sh\nexit 1\n")
    assert first_host(nodes) == first


def test_tasks_per_node_and_ports() -> None:
    assert per_node("2(x3),1") == [2, 2, 2, 1]
    assert per_node("") == []
    ports = [port_of(f"{job}.{step}") for job in range(300) for step in range(3)]
    assert ports == [port_of(f"{job}.{step}") for job in range(300) for step in range(3)]
    assert min(ports) in PORTS
    assert max(ports) in PORTS
    assert len(set(ports)) > 850, "neighbours do not meet by chance"


@pytest.mark.parametrize("command", ["compare", "predict", "table", "runs", "list"])
def test_a_command_that_is_one_process_is_refused_in_a_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TASK | {"SLURM_PROCID": "0"}).items():
        monkeypatch.setenv(name, value)
    call = sslkit(command)
    words = f"srun started 3 processes, and `sslkit {command}` is one: write `srun -n 1 sslkit {command} …`"
    assert (call.code, call.err, call.out) == (2, f"error: {words}\n", "")
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(SystemExit) as ended:
        sslkit(command)
    assert ended.value.code == 2, "and is silent"
    for name in TASK:
        monkeypatch.delenv(name)
    for name, value in (TORCHRUN | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    assert sslkit(command).err.startswith(f"error: torchrun started 4 processes, and `sslkit {command}` is one: write")


def test_in_a_batch_script_every_command_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BATCH.items():
        monkeypatch.setenv(name, value)
    assert sslkit("list", "mixers").code == 0
