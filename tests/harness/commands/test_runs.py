"""`sslkit runs ls` and `diff`: what is listed is what there is, and damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sslkit.store import read_json
from tests.cli.call import assert_refused, sslkit
from tests.harness.small_store import listed, made, named, on_disk, remove, root, stages

__all__ = ["made", "root"]  # fixtures


def test_the_list_says_what_is_there(made: Path) -> None:
    found = listed(made)
    assert set(found) == {file.parent.name for file in made.glob("*/run.json")}
    entry = found[named(made, "hand-fixmatch")]
    results = read_json(made / entry["name"] / "results.json")
    assert entry["top1"] == pytest.approx(100 * results["headline"]["top1"])
    told = {name: entry[name] for name in ("data", "method", "backbone", "labels", "seed", "state", "reason")}
    assert told == {
        "data": "digits", "method": "fixmatch", "backbone": "vit_micro", "labels": "4/class", "seed": 0,
        "state": "finished", "reason": "",
    }  # fmt: skip
    mine = [made / "stages" / key for key in stages(made, entry["name"])]
    assert entry["size"] == on_disk(made / entry["name"], *mine)
    broken_off = found[named(made, "hand-supervised")]
    assert (broken_off["state"], broken_off["reason"], broken_off["top1"]) == ("unfinished", "1 of 2 stages", None)
    dates = [entry["date"] for entry in found.values()]
    assert dates == sorted(dates)
    for call in (sslkit("runs", "--runs", made), sslkit("runs", "ls", "--runs", made)):
        assert call.code == 0
        for entry in found.values():
            (line,) = [
                line for line in call.out.splitlines() if line.startswith(f"{entry['name']} ") and " is " not in line
            ]
            assert entry["state"] in line
            assert entry["top1"] is None or f" {entry['top1']:.1f} " in line
        assert f"{named(made, 'compare')} is a comparison of 4 runs" in call.out


def test_looking_changes_nothing(made: Path) -> None:
    before = sorted(made.rglob("*"))
    names = [path.name for path in made.glob("hand-*")]
    for arguments in (["ls"], ["diff", *names[:2]], ["diff", str(made), str(made)]):
        assert (
            sslkit("runs", *arguments, *([] if "diff" in arguments and "/" in arguments[1] else ["--runs", made])).code
            == 0
        )
    assert sorted(made.rglob("*")) == before


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("run.json", "{", "run.json is damaged"),
        ("run.json", '{"stages": {"semi": "../../x"}}', "does not name the run's stages"),
        ("run.json", None, "cannot read"),
        ("results.json", '{"schema": 1', "results.json is damaged"),
        ("results.json", "[]", "results.json is damaged"),
        ("config.toml", None, "cannot read configuration"),
        ("config.toml", "seed = [", "not a TOML file"),
        ("config.toml", "\x00\x1b[31m", "not a TOML file"),
    ],
)
def test_a_damaged_run_is_listed_with_its_reason(root: Path, file: str, text: str | None, reason: str) -> None:
    name = named(root, "hand-fixmatch")
    if text is None:
        (root / name / file).unlink()
    else:
        (root / name / file).write_text(text)
    found = listed(root)
    assert found[name]["state"] == "damaged"
    assert reason in found[name]["reason"]
    assert {entry["state"] for other, entry in found.items() if other != name} == {"finished", "unfinished"}
    printed = sslkit("runs", "--runs", root)
    assert printed.code == 0
    assert f"{name} is damaged: " in printed.out
    assert "\x1b" not in printed.out
    assert remove(root, name).code == 0, "a damaged run can be removed"
    assert name not in listed(root)


@pytest.mark.parametrize(
    ("file", "harm", "reason"),
    [
        ("metrics.jsonl", lambda b: b[:-9], "metrics.jsonl is torn in line 1"),
        ("metrics.jsonl", lambda b: b"\xff" + b, "metrics.jsonl cannot be read"),
        ("result.json", lambda b: b[:50], "result.json is damaged"),
        ("metrics.jsonl", None, "metrics.jsonl cannot be read"),
    ],
)
def test_a_damaged_stage_is_told_of_all_its_runs(root: Path, file: str, harm: Any, reason: str) -> None:
    names = [named(root, "hand-fixmatch"), named(root, "hand-mean_teacher"), named(root, "hand-supervised")]
    shared = set(stages(root, names[0])) & set(stages(root, names[1])) & set(stages(root, names[2]))
    path = root / "stages" / next(iter(shared)) / file
    if harm:
        path.write_bytes(harm(path.read_bytes()))
    else:
        path.unlink()
    found = listed(root)
    assert {name for name, entry in found.items() if entry["state"] == "damaged"} == set(names)
    assert all(found[name]["reason"].startswith("stage finetune is damaged: ") for name in names)
    assert all(reason in found[name]["reason"] for name in names)


def test_a_finished_run_without_its_stage_is_damaged(root: Path) -> None:
    name = named(root, "hand-fixmatch")
    shutil.rmtree(root / "stages" / stages(root, name)[-1])
    assert listed(root)[name]["reason"] == "stage semi is not in the store"


def test_other_folders_are_no_runs(root: Path) -> None:
    (root / "notes").mkdir()
    (root / "notes" / "a.txt").write_text("mine")
    (root / "elsewhere").symlink_to(root.parent)
    assert "notes" not in listed(root)
    assert_refused(remove(root, "notes"), "no run or comparison 'notes'")
    for name in ("stages", "..", ".", "elsewhere", "data", "/", ""):
        assert_refused(remove(root, name), "no run or comparison")
    assert (root / "notes" / "a.txt").is_file()


def test_an_empty_store(tmp_path: Path) -> None:
    assert_refused(sslkit("runs", "--runs", tmp_path / "none"), "there is no store")
    assert sslkit("runs", "--runs", tmp_path).out == f"no runs in {tmp_path}\n"
    assert sslkit("runs", "--runs", tmp_path, "--json").json == {
        "schema": 1,
        "runs": [],
        "comparisons": [],
        "notes": [],
    }


def test_the_difference_of_two_runs(root: Path) -> None:
    a, b = named(root, "hand-fixmatch"), named(root, "hand-mean_teacher")
    told = sslkit("runs", "diff", a, str(root / b), "--json", "--runs", root).json
    results = [read_json(root / name / "results.json") for name in (a, b)]
    configs = [result["config"] for result in results]
    keys = {key for config in configs for key in config}
    apart = {key for key in keys if configs[0].get(key, "absent") != configs[1].get(key, "absent")}
    assert set(told["configuration"]) == apart
    assert told["configuration"]["algo.name"] == ["fixmatch", "mean_teacher"]
    assert told["configuration"]["labeler.tau"][1] == "not there"
    top1 = [100 * result["stages"][-1]["networks"]["averaged"]["top1"] for result in results]
    assert told["results"]["semi"] == {"a": top1[0], "b": top1[1], "difference": top1[1] - top1[0]}
    assert told["results"]["finetune"]["difference"] == 0
    printed = sslkit("runs", "diff", a, b, "--runs", root).out
    assert "mean_teacher" in printed
    assert f"{top1[1] - top1[0]:+.1f}" in printed
    same = sslkit("runs", "diff", a, a, "--runs", root).out
    assert "the configurations are equal" in same


def test_the_difference_to_a_run_that_is_not_there(root: Path) -> None:
    made = sslkit("runs", "diff", named(root, "hand-fixmatch"), "gone", "--runs", root)
    assert_refused(made, f"no run 'gone' in {root}", "sslkit runs")


def test_the_difference_of_two_stores(made: Path, root: Path) -> None:
    gone, changed, damaged = (named(root, f"hand-{name}") for name in ("fixmatch", "mean_teacher", "supervised"))
    finished = {name for name, entry in listed(made).items() if entry["state"] == "finished"}
    assert sslkit("runs", "diff", made, root, "--json").json["same"] == sorted(finished)
    shutil.rmtree(root / gone)
    results = read_json(root / changed / "results.json")
    results["stages"][-1]["networks"]["averaged"]["top1"] = 0.5
    (root / changed / "results.json").write_text(json.dumps(results))
    (root / damaged / "config.toml").unlink()
    told = sslkit("runs", "diff", made, root, "--json").json
    assert told["only_a"] == [gone]
    assert told["only_b"] == []
    assert list(told["different"]) == [changed]
    assert told["different"][changed][1]["semi"] == 50.0
    assert list(told["damaged"]) == [str(root / damaged)]
    assert set(told["same"]) == finished - {gone, changed}
    printed = sslkit("runs", "diff", made, root).out
    for line in (f"only in {made}: {gone}", f"different: {changed}: semi", f"damaged: {root / damaged}"):
        assert line in printed


def test_what_cannot_be_compared(root: Path) -> None:
    a = named(root, "hand-fixmatch")
    assert_refused(sslkit("runs", "diff", a, "gone", "--runs", root), "gone")
    assert_refused(sslkit("runs", "diff", a, named(root, "compare"), "--runs", root), "is a comparison")
    assert_refused(sslkit("runs", "diff", a, root, "--runs", root), "two runs, or two stores")
    (root / a / "results.json").write_text('{"schema": 1, "stages": 3}')
    assert_refused(sslkit("runs", "diff", a, a, "--runs", root), "damaged")
    assert_refused(sslkit("runs", "rm", "--runs", root), "NAME")


def test_hostile_names_are_printed_as_they_are(root: Path) -> None:
    name = "[red]:car:x[bold]\x1b[31m"
    (root / named(root, "hand-fixmatch")).rename(root / name)
    config = root / name / "config.toml"
    config.write_text(config.read_text().replace('name = "digits"', 'name = "[bold]\\u001b[2J"'))
    printed = sslkit("runs", "--runs", root).out
    assert "[red]:car:x[bold]" in printed
    assert " [bold]" in printed
    assert "\x1b" not in printed
