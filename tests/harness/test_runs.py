"""`sslkit runs`: what is listed is what there is, damage is told, and nothing that is needed is removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from filelock import FileLock

from sslkit.harness import removal
from sslkit.store import read_json
from tests.cli.call import Call, assert_refused, run, sslkit
from tests.harness.test_compare import SMALL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store: a comparison of two arms on two seeds, a run by hand that shares its first stage with another, and
    one that was interrupted."""
    root = tmp_path_factory.mktemp("store") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sslkit.pipeline.step_seconds", lambda *_: {})
        compared = sslkit("compare", *SMALL, "--algo", "fixmatch,flexmatch", "--seeds", 2, "--runs", root)
        assert compared.code == 0, compared.err
        for algorithm in ("fixmatch", "mean_teacher", "supervised"):
            by_hand = run("--algo", algorithm, "--runs", root, "--labels", "4/class", "--name", f"hand-{algorithm}")
            assert by_hand.code == 0, by_hand.err
    last = next(root.glob("hand-supervised-*"))
    (last / "results.json").unlink()
    key = list(read_json(last / "run.json")["stages"].values())[-1]
    (root / "stages" / key).rename(root / "stages" / f".{key}")
    (root / "stages" / f".{key}" / "result.json").unlink()
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


def listed(root: Path) -> dict[str, dict[str, Any]]:
    call = sslkit("runs", "ls", "--json", "--runs", root)
    assert call.code == 0, call.err
    return {entry["name"]: entry for entry in call.json["runs"]}


def named(root: Path, beginning: str) -> str:
    (found,) = root.glob(f"{beginning}-*")
    return found.name


def remove(root: Path, *names: str) -> Call:
    return sslkit("runs", "rm", *names, "--yes", "--runs", root)


def on_disk(*folders: Path) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def stages(root: Path, name: str) -> list[str]:
    return list(read_json(root / name / "run.json")["stages"].values())


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.suffix != ".lock"}


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
    assert sslkit("runs", "--runs", tmp_path, "--json").json == {"runs": [], "comparisons": []}


def test_a_run_goes_with_the_stages_that_only_it_has(root: Path) -> None:
    before = tree(root)
    name, other = named(root, "hand-fixmatch"), named(root, "hand-mean_teacher")
    own = stages(root, name)[-1]
    freed = on_disk(root / name, root / "stages" / own)
    call = remove(root, str(root / name))
    assert call.code == 0, call.err
    assert f"removed 1 run, 1 stage: {freed / 1e6:.1f} MB" in call.out
    gone = {path for path in before if path.startswith((f"{name}/", f"stages/{own}/"))}
    assert tree(root) == {path: text for path, text in before.items() if path not in gone}
    assert remove(root, other).code == 0
    assert (root / "stages" / stages(root, named(root, "hand-supervised"))[0]).is_dir(), "another one needs it"


def test_a_comparison_keeps_what_it_shows(root: Path) -> None:
    mark = read_json(root / named(root, "compare") / "comparison.json")
    table = sslkit("table", "--runs", root, "--format", "csv").out
    call = remove(root, mark["runs"][0]["run"])
    assert "1 run: " in call.out, "no stage goes"
    assert "still shows" in call.out
    assert sslkit("table", "--runs", root, "--format", "csv").out == table


def test_a_comparison_goes_with_the_runs_made_for_it(root: Path) -> None:
    before = {name for name in listed(root) if name.startswith("hand-")}
    assert remove(root, mark := named(root, "compare")).code == 0
    assert set(listed(root)) == before
    assert not (root / mark).exists()
    needed = {key for name in before for key in stages(root, name)}
    assert {path.name.lstrip(".") for path in (root / "stages").iterdir() if path.is_dir()} == needed
    assert all(entry["state"] != "damaged" for entry in listed(root).values())


def test_all_can_go(root: Path) -> None:
    names = [path.parent.name for path in root.glob("*/run.json")]
    assert remove(root, named(root, "compare"), *names).code == 0
    assert [path for path in root.rglob("*") if path.name != ".lock"] == [root / "stages"]


def test_it_asks_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(root)
    asked: list[str] = []
    monkeypatch.setattr("click.confirm", lambda text: bool(asked.append(text)))
    call = sslkit("runs", "rm", name := named(root, "hand-fixmatch"), "--runs", root)
    assert (call.code, call.err) == (2, "error: nothing was removed; --yes does not ask\n")
    assert name in call.out
    assert asked[0].startswith("Remove 1 run, 1 stage: ")
    assert tree(root) == before

    def nobody(_: str) -> bool:
        raise click.Abort

    monkeypatch.setattr("click.confirm", nobody)
    assert_refused_after_list(sslkit("runs", "rm", name, "--runs", root), "nothing was removed")
    assert tree(root) == before


def test_where_references_are_unknown_all_stages_stay(root: Path) -> None:
    damaged = named(root, "hand-mean_teacher")
    (root / damaged / "run.json").write_text("{")
    kept = {path.name for path in (root / "stages").iterdir()}
    call = remove(root, named(root, "hand-fixmatch"))
    assert f"all stages stay: what {damaged} refers to cannot be read" in call.out
    assert {path.name for path in (root / "stages").iterdir()} == kept
    (root / named(root, "compare") / "comparison.json").write_text("{}")
    call = remove(root, named(root, "hand-supervised"), damaged)
    assert f"all stages stay: what {named(root, 'compare')} refers to" in call.out


@pytest.mark.parametrize("place", [0, -1], ids=["shared", "own"])
def test_what_is_being_trained_stays(root: Path, place: int) -> None:
    before = tree(root)
    name = named(root, "hand-supervised")
    with FileLock(root / "stages" / f".{stages(root, name)[place]}.lock"):
        assert_refused_after_list(remove(root, name), "is being trained")
        assert tree(root) == before
    assert remove(root, name).code == 0
    assert not list((root / "stages").glob(f".{stages_of(before, name)[-1]}*")), "what was begun is gone, and its lock"


def assert_refused_after_list(call: Call, words: str) -> None:
    assert call.code == 2
    assert call.err.count("\n") == 1
    assert words in call.err


def stages_of(before: dict[str, bytes], name: str) -> list[str]:
    return list(json.loads(before[f"{name}/run.json"])["stages"].values())


def test_a_store_that_changed_meanwhile_is_not_touched(root: Path) -> None:
    name, other = named(root, "hand-fixmatch"), named(root, "hand-mean_teacher")
    found = removal.plan(root, [name])
    about = read_json(root / other / "run.json")
    about["stages"]["semi"] = stages(root, name)[-1]
    (root / other / "run.json").write_text(json.dumps(about))
    with pytest.raises(Exception, match="has changed meanwhile"):
        removal.remove(root, [name], found)
    assert (root / name).is_dir()


def test_a_removal_that_was_cut_off_is_gone_on_with(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = named(root, "hand-fixmatch")
    key = stages(root, name)[-1]
    original = shutil.rmtree

    def cut_off(path: Path, **options: Any) -> None:
        if not options:
            raise KeyboardInterrupt
        original(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("sslkit.harness.removal.shutil.rmtree", cut_off)
        assert remove(root, name).code == 130
    assert listed(root)[name]["state"] == "damaged"
    assert remove(root, name).code == 0
    assert not (root / name).exists()
    assert not [path for path in root.rglob("*") if key in path.name]


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
    name = "[red]x[bold]\x1b[31m"
    (root / named(root, "hand-fixmatch")).rename(root / name)
    config = root / name / "config.toml"
    config.write_text(config.read_text().replace('name = "digits"', 'name = "[bold]\\u001b[2J"'))
    printed = sslkit("runs", "--runs", root).out
    assert "[red]x[bold]" in printed
    assert " [bold]" in printed
    assert "\x1b" not in printed
