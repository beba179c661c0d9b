"""What a comparison keeps: a partial table, finished runs, and weights that are dropped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sslkit import registry
from sslkit.errors import Stopped
from sslkit.harness import load
from sslkit.harness.stored import folders
from sslkit.store import checkpoint, read_json
from sslkit.training import spec, work
from sslkit.training.engine import Engine
from sslkit.training.sources import source_hash
from tests.cli.call import assert_refused, sslkit
from tests.harness.work.test_compare import SMALL, Fixmatch, compare, counted, elsewhere, folder  # noqa: F401

RUN = [*SMALL, "--threads", "1", "--control"]


def weights() -> dict[str, bool]:
    """Label of a stage of seed 0 -> are its weights there?"""
    first = read_json(folder() / "comparison.json")["runs"][0]
    return {n: Path("runs", "stages", key, "weights.safetensors").exists() for n, key in first["stages"].items()}


def test_an_interrupted_comparison_has_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    original = Engine.train

    def train(self: Engine) -> dict[str, object]:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise Stopped("stopped")
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train", train)
        assert compare("--algo", "fixmatch", "--seeds", 3).code == 130
    frame = load(folder())
    assert len(frame) == 9
    assert (frame["error"] == "").sum() == 4
    summary = {line["row"]: line for line in sslkit("table", "--format", "json").json["summary"]}
    assert summary["fixmatch"]["n"] == 1
    assert set(frame.loc[frame["error"] != "", "error"]) == {"not run yet"}
    trained = counted(monkeypatch)
    monkeypatch.setattr(work, "versions", lambda: {"sslkit": "9.0"})
    made = compare("--algo", "fixmatch", "--seeds", 3)
    assert made.code == 0, made.err
    assert len(trained) == 5, "nothing that was finished is trained again"
    assert not (load(folder())["error"] != "").any()
    assert "Stages were trained by different versions: sslkit 0." in " ".join(made.out.split())
    assert {"sslkit 9.0"} < {*load(folder())["versions"]}


def test_a_table_of_nothing_yet_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: Engine) -> None:
        raise Stopped("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train", stopped)
        assert compare("--algo", "fixmatch", "--seeds", 1).code == 130
    for form in ("rich", "markdown", "latex", "json"):
        assert "not run yet" in sslkit("table", "--format", form).out, form


def test_weights_that_nothing_starts_from_are_dropped(fixmatch: Fixmatch) -> None:
    made = fixmatch(2)
    assert "deleted the weights of 4 stages" in made.err
    assert weights() == {"finetune": True, "finetune+": False, "semi": False}
    assert not list(Path("runs/stages").glob("*/checkpoint*"))
    run = Path("runs", read_json(folder() / "comparison.json")["runs"][0]["run"])
    words = ("weights are dropped when a comparison ends", "--keep")
    assert_refused(sslkit("predict", run, "--test", "--out", "t.csv"), *words)
    assert_refused(sslkit("run", *RUN, "--algo", "fixmatch", "--again"), *words)
    assert_refused(sslkit("run", *RUN, "--algo", "fixmatch", "--weights", run), *words)
    assert_refused(sslkit("show-views", run, "--out", "v.png"), *words)


def test_dropped_weights_come_back_the_same(fixmatch: Fixmatch) -> None:
    compare("--algo", "fixmatch", "--seeds", 1, "--keep", "--runs", "kept")
    fixmatch(1)
    table = sslkit("table").out
    made = compare("--algo", "fixmatch", "--seeds", 1, "--keep")
    assert made.code == 0, made.err
    assert weights() == {"finetune": True, "finetune+": True, "semi": True}
    assert sslkit("table").out == table
    for file in Path("runs/stages").glob("*/weights.safetensors"):
        mine, _ = checkpoint.load(file)
        theirs, _ = checkpoint.load(Path("kept", *file.parts[1:]))
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
    assert not [p for p in Path("runs/stages").glob(".*") if p.is_dir()]
    compare("--algo", "fixmatch", "--seeds", 1)
    assert all(weights().values()), "what was kept once stays"


def test_a_parent_without_weights_is_trained_again(fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch) -> None:
    fixmatch(1)
    stage = read_json(folder() / "comparison.json")["runs"][0]["stages"]["finetune"]
    file = Path("runs", "stages", stage, "weights.safetensors")
    before, _ = checkpoint.load(file)
    file.unlink()
    trained = counted(monkeypatch)
    made = compare("--algo", "fixmatch,flexmatch", "--seeds", 1, "--name", "more")
    assert made.code == 0, made.err
    assert trained == ["finetune", "semi"]
    after, _ = checkpoint.load(file)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_what_was_run_by_hand_keeps_its_weights() -> None:
    run = sslkit("run", *RUN, "--algo", "fixmatch", "--json").json
    made = compare("--algo", "fixmatch", "--seeds", 1)
    assert {done["run"] for done in read_json(folder() / "comparison.json")["runs"]} == {run["run"]}, made.err
    assert all(weights().values())


def test_a_run_by_hand_with_other_threads_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stages are not those of the comparison, which are trained beside it."""
    with monkeypatch.context() as patch:  # two threads on a busy machine take minutes
        patch.setattr("torch.set_num_threads", lambda n: None)
        run = sslkit("run", *SMALL, "--threads", "2", "--control", "--algo", "fixmatch", "--json").json
    trained = counted(monkeypatch)
    made = compare("--algo", "fixmatch", "--seeds", 1)
    assert made.code == 0, made.err
    assert len(trained) == 3
    assert not load(folder())["error"].any()
    assert compare("--algo", "fixmatch", "--seeds", 1).out == made.out
    assert len(trained) == 3
    assert run["run"] not in {done["run"] for done in read_json(folder() / "comparison.json")["runs"]}


def test_stages_of_other_sources_are_trained_anew(fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch) -> None:
    fixmatch(1)
    monkeypatch.setattr(spec, "source_hash", lambda cls: source_hash(cls)[::-1])
    trained = counted(monkeypatch)
    assert compare("--algo", "fixmatch", "--seeds", 1).code == 0
    assert len(trained) == 3
    assert not load(folder())["error"].any()


def test_what_another_comparison_keeps_stays() -> None:
    compare("--algo", "fixmatch", "--seeds", 1, "--keep")
    compare("--algo", "fixmatch,flexmatch", "--seeds", 1, "--name", "more")
    assert all(weights().values())
    more = read_json(next(Path("runs").glob("more-*")) / "comparison.json")
    flexmatch = next(done for done in more["runs"] if done["arm"] == "flexmatch")
    assert not Path("runs", "stages", flexmatch["stages"]["semi"], "weights.safetensors").exists()


def test_what_another_comparison_starts_from_stays() -> None:
    decay = ("--set", "eval.decay=0.9")  # auto would follow the longer stage
    compare("--algo", "fixmatch", "--seeds", 1, *decay)
    assert weights() == {"finetune": True, "finetune+": False, "semi": False}
    made = compare("--set", "stages=finetune", "--seeds", 1, "--name", "more", *decay)
    assert made.code == 0, made.err
    more = read_json(next(Path("runs").glob("more-*")) / "comparison.json")["runs"][0]["stages"]
    assert more["finetune"] == read_json(folder() / "comparison.json")["runs"][0]["stages"]["finetune"]
    assert weights()["finetune"]


def test_torn_logs_and_missing_configurations_stop_no_table(fixmatch: Fixmatch) -> None:
    fixmatch(1)
    table = sslkit("table").out
    done = read_json(folder() / "comparison.json")["runs"][0]
    for key in done["stages"].values():
        log = Path("runs", "stages", key, "metrics.jsonl")
        log.write_bytes(log.read_bytes()[:-20] + b"\xff\n{")
    Path("runs", done["run"], "config.toml").unlink()
    assert sslkit("table").out == table
    assert_refused(sslkit("predict", Path("runs", done["run"]), "--test"), "dropped")


def test_a_stage_that_is_gone_is_a_cell_and_trained_again(fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch) -> None:
    fixmatch(2)
    key = read_json(folder() / "comparison.json")["runs"][0]["stages"]["semi"]
    shutil.rmtree(Path("runs", "stages", key))
    shown = {line["row"]: line for line in sslkit("table", "--format", "json").json["summary"]}
    assert shown["fixmatch"]["n"] == 1
    assert "is not in the store any more" in shown["fixmatch"]["failed"]
    trained = counted(monkeypatch)
    assert compare("--algo", "fixmatch", "--seeds", 2).code == 0
    assert trained == ["semi"]
    assert sslkit("table", "--format", "csv").out.count("\n") == 7
    assert not load(folder())["error"].any()


def test_a_comparison_of_another_version(fixmatch: Fixmatch) -> None:
    fixmatch(1)
    about = read_json(folder() / "comparison.json")
    (folder() / "comparison.json").write_text(json.dumps(about | {"schema": 1}))
    assert_refused(sslkit("table"), "of another version")
    assert compare("--algo", "fixmatch", "--seeds", 1).code == 0
    assert sslkit("table").code == 0


def test_a_missing_plug_in_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("soft.py").write_text(
        '"""Kept by confidence."""\nfrom sslkit import register\n'
        "from sslkit.contracts import PseudoLabeler, PseudoLabels\n\n\n"
        '@register("labeler")\nclass Soft(PseudoLabeler):\n'
        "    def __init__(self, setup):\n        super().__init__()\n\n"
        "    def label(self, weak, labeled, batch, step):\n"
        "        return PseudoLabels(weak.p, weak.p.amax(1), weak.p.amax(1))\n"
    )
    arguments = ["--algo", "fixmatch", "--labeler", "soft", "--seeds", 1]
    assert compare(*arguments, "--plugin", "soft.py").code == 0
    Path("soft.py").unlink()
    monkeypatch.setattr(registry, "plugins", {})  # as in another process
    assert sslkit("table").code == 0
    assert_refused(compare(*arguments, "--plugin", "soft.py"), "no plug-in file 'soft.py'")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("sslkit.store.write_text", full)
    made = compare("--algo", "fixmatch", "--seeds", 1)
    assert made.code == 2
    last = made.err.strip().splitlines()[-1]
    assert "No space left on device" in last
    assert "Traceback" not in made.err


def test_the_folders_of_a_store_itself_are_no_runs(tmp_path: Path) -> None:
    for name in ("stages", "data", "features", "frozen", "run-0123"):
        (tmp_path / name).mkdir()
    assert [folder.name for folder in folders(tmp_path)] == ["run-0123"]
