"""The words of --cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.errors import UserError
from sslkit.harness.cluster.words import Words, megabytes, parse
from tests.cli.call import assert_refused
from tests.harness.work.test_compare import compare, elsewhere  # noqa: F401


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("slurm", {}),
        ("slurm,partition=gpu,time=60", {"partition": "gpu", "time": "60"}),
        ("slurm, partition=gpu", {"partition": "gpu"}),
        ("slurm,gpus_per_node=a100:1", {"gpus-per-node": "a100:1"}),
        ("slurm,exclude=a,b,mem=4G", {"exclude": "a,b", "mem": "4G"}),
        ("slurm,exclude=node[1,3-5],b,mem=4G", {"exclude": "node[1,3-5],b", "mem": "4G"}),
        ("slurm,exclusive=,mem=4G", {"exclusive": "", "mem": "4G"}),
        ("slurm,licenses=a@db:2,comment=x=y", {"licenses": "a@db:2", "comment": "x=y"}),
    ],
)
def test_words_are_long_options_of_sbatch(text: str, options: dict[str, str]) -> None:
    assert parse(text) == Words("slurm", options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pbs", "must be slurm or print"),
        ("", "must be slurm or print"),
        ("slurm,gpu", "is not key=value"),
        ("slurm,=1", "is not key=value"),
        ("slurm,Partition=x", "is not key=value"),
        ("slurm,mem=1G,mem=2G", "mem stands twice"),
        ("slurm,array=0-3", "array is set by sslkit"),
        ("slurm,timeout_min=60", "in the place of timeout_min write time"),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse(text)
    assert_refused(compare("--algo", "fixmatch", "--cluster", text), words)
    assert not Path("runs").exists()


def test_memory() -> None:
    assert megabytes({"mem": "2G"}) == 2048
    assert megabytes({"mem": "512"}) == 512
    assert megabytes({"mem": "1048576K"}) == 1024
    assert megabytes({"mem": "0"}) is None
    assert megabytes({"mem-per-cpu": "2G"}) is None


def test_options_that_do_not_go_together() -> None:
    assert_refused(compare("--algo", "fixmatch", "--detach"), "--detach is for --cluster slurm")
    assert_refused(compare("--algo", "fixmatch", "--bundle", -1), "--bundle is a number of minutes")


def test_without_slurm_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_refused(compare("--algo", "fixmatch", "--cluster", "slurm"), "there is no sbatch here", "--cluster print")
