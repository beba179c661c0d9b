"""`sslkit runs rm`: nothing that is needed is removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from sslkit.harness.stored import removal
from sslkit.store import Store, read_json
from tests.cli.call import Call, sslkit
from tests.harness.small_store import listed, made, named, on_disk, remove, root, stages, tree

__all__ = ["made", "root"]  # fixtures
pytestmark = pytest.mark.slow  # the store is made, and copied for every test


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
    assert [path for path in root.rglob("*") if path.name != ".claims"] == [root / "stages"]


def test_it_asks_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(root)
    asked: list[str] = []

    def no(text: str) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("click.confirm", no)
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
    with Store(root).claim(stages(root, name)[place]):
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
        patch.setattr("sslkit.harness.stored.removal.shutil.rmtree", cut_off)
        assert remove(root, name).code == 130
    assert listed(root)[name]["state"] == "damaged"
    assert remove(root, name).code == 0
    assert not (root / name).exists()
    assert not [path for path in root.rglob("*") if key in path.name]
