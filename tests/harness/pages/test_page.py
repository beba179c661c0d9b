"""The HTML page of a comparison, made of hostile names."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from sklearn.metrics import confusion_matrix

from sslkit.config.resolve import read_toml
from sslkit.harness import load
from sslkit.harness.numbers.samples import choose
from sslkit.harness.pages.page import page
from sslkit.prepare import prepare
from sslkit.store import read_json
from tests.cli.call import assert_refused, sslkit
from tests.cli.test_hostile import write
from tests.datasets.make import held
from tests.docs.page import blocks
from tests.harness.pages.seen import Seen

pytestmark = pytest.mark.slow  # twelve runs

SCRIPT = "<script>window.hacked=1</script>"
CLASSES = [SCRIPT, "{{ 7*7 }}", "<img src=x onerror=window.hacked=2>"]
ARMS = [f'" onmouseover="window.hacked=3 {SCRIPT}', "$\\frac{ [bold] " + "w" * 300]
STUDY = f"""
question = "Does {SCRIPT} hold?"
claim = "{SCRIPT} holds"
[arms.{json.dumps(ARMS[0])}]
algo = "fixmatch"
[arms.{json.dumps(ARMS[1])}]
algo = "ema_teacher"
"labeler.tau" = 0.2
[quick]
seeds = 3
labels = ["3/class", "5/class"]
"""
TINY = ["--backbone", "vit_micro"]
for key in ("precision=fp32", "device=cpu", "finetune.steps=10", "semi.steps=10", "finetune.batch=6", "semi.batch=6"):
    TINY += ["--set", key]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one comparison: 12 runs of two arms under two conditions."""
    here = tmp_path_factory.mktemp("page")
    write(here / "data", CLASSES)
    (here / "study.toml").write_text(STUDY, "utf-8")
    made = sslkit(
        "compare", *TINY, "--study", here / "study.toml", "--data", f"parquet:{here / 'data'}", "--runs",
        here / "runs", "--format", "html", "--out", here / "page.html", "--set", "semi.mu=2",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert made.out == f"{here / 'page.html'}\n"
    return here / "runs"


def folder(store: Path) -> Path:
    (found,) = store.glob("study-*")
    return found


@pytest.fixture(scope="module")
def text(store: Path) -> str:
    return page(folder(store))


def test_everything_of_the_comparison_is_on_the_page(store: Path, text: str) -> None:
    seen = Seen(text)
    for sentence in sslkit("table", "--runs", store, "--format", "json").json["verdicts"]:
        assert " ".join(sentence.split()) in seen.text
    for value in load(folder(store)).groupby(["condition", "row"])["top1"].mean():
        assert f"{value:.1f}" in seen.text
    names = [attributes["aria-label"] or "" for tag, attributes in seen.tags if tag == "svg"]
    assert sum(name.startswith("Differences from finetune+") for name in names) == 2
    assert sum(name.startswith("Accuracy against labels") for name in names) == 1
    for name in ("loss: supervised", "loss: unlabeled", "kept pseudo-labels"):
        assert names.count(name) == 2
    assert f"Does {SCRIPT} hold?" in seen.text
    assert f"Published: {SCRIPT} holds" in seen.text
    for note in sslkit("table", "--runs", store, "--format", "json").json["notes"]:
        assert " ".join(note.split()) in seen.text
    assert "is as accurate as finetune with" in seen.text
    for cost in sslkit("table", "--runs", store, "--format", "json").json["stability and cost"]:
        assert f" {cost['params']} " in seen.text


def test_recall_and_confusions_of_every_row_are_on_the_page(store: Path, text: str) -> None:
    """Counted anew by scikit-learn, over the seeds."""
    seen, frame = Seen(text).text, load(folder(store))
    for (_, row), group in frame.groupby(["condition", "row"]):
        stored = [load_file(store / "stages" / key / "predictions.safetensors") for key in group["key"]]
        label = np.concatenate([found["label"] for found in stored])
        guess = np.concatenate([found["averaged"].argmax(1) for found in stored])
        names = read_json(store / "stages" / group["key"].iloc[0] / "spec.json")["data"]["classes"]
        pairs = confusion_matrix(label[label >= 0], guess[label >= 0], labels=range(len(names)))
        lines = [" ".join([name, *(str(n or ".") for n in line)]) for name, line in zip(names, pairs, strict=True)]
        expected = f"Who is taken for whom: {row} true class {' '.join(names)} {' '.join(lines)}"
        assert "".join(expected.split()) in "".join(seen.split())
    assert seen.count("Who is taken for whom") == len(frame.groupby(["condition", "row"]))


def test_the_same_comparison_gives_the_same_page(store: Path, text: str) -> None:
    printed = sslkit("table", "--runs", store, "--format", "html")
    assert printed.out == text.rstrip("\n") + "\n"
    assert (store.parent / "page.html").read_text("utf-8") == printed.out


def test_names_are_text(text: str) -> None:
    seen = Seen(text)
    assert {tag for tag, _ in seen.tags} & {"script", "iframe", "object", "embed", "form", "base"} == set()
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    for name in (*CLASSES, *ARMS):
        assert " ".join(name.split()) in seen.text
    assert "49" not in re.findall(r"[✓✗] (\S+)", seen.text), "no template runs twice"


def test_nothing_lies_outside_of_the_page(text: str) -> None:
    seen = Seen(text)
    for tag, attributes in seen.tags:
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)", text)
    (policy,) = (a["content"] for _, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_images_are_those_of_the_test_set_with_what_the_rows_said(store: Path, text: str) -> None:
    about, frame = read_json(folder(store) / "comparison.json"), load(folder(store))
    mine = frame[(frame["condition"] == frame["condition"][0]) & (frame["seed"] == 0)]
    said = {r: load_file(store / "stages" / k / "predictions.safetensors") for r, k in zip(mine["row"], mine["key"])}  # noqa: B905
    prepared = prepare(read_toml(store / about["runs"][0]["run"] / "config.toml"))
    chosen = [int(i) for i in np.linspace(0, 14, 4)]
    votes = {i: len({int(s["averaged"][i].argmax()) for s in said.values()}) for i in range(15)}
    others = [i for i in votes if i not in chosen and votes[i] > 1]
    chosen += sorted(others, key=lambda i: -votes[i])[:4]

    table = re.search(r'<div class="box images">.*?</table>', text, re.DOTALL)
    assert table
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', table[0])
    assert len(pictures) == len(chosen)
    for encoded, i in zip(pictures, chosen, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        assert (shown == held(prepared.images)[prepared.split.test[i]].transpose(1, 2, 0)).all()
    classes = prepared.images.classes
    lines = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table[0], re.DOTALL)
    assert [html.unescape(name) for name, _ in lines] == list(said)
    for (_, cells), stored in zip(lines, said.values(), strict=True):
        told = [html.unescape(cell) for cell in re.findall(r"<td.*?>\s*(.*?)\s*</td>", cells, re.DOTALL)]
        guess, truth = stored["averaged"].argmax(1), stored["label"]
        assert told == [f"{'✓' if guess[i] == truth[i] else '✗'} {classes[guess[i]]}" for i in chosen]


def test_the_choice_of_images() -> None:
    agreed = torch.zeros(3, 10, dtype=torch.int64)
    assert choose(agreed) == [0, 3, 6, 9]
    agreed[0, 5], agreed[:, 8] = 1, torch.tensor([1, 2, 3])
    assert choose(agreed) == [0, 3, 6, 9, 8, 5]
    assert choose(agreed[:, :2]) == [0, 1]


def test_differences_between_arms_are_those_of_their_configurations(store: Path, text: str) -> None:
    about = read_json(folder(store) / "comparison.json")
    configs = {d["arm"]: read_json(store / d["run"] / "results.json")["config"] for d in about["runs"] if not d["seed"]}
    keys = {key for config in configs.values() for key in config}
    apart = {k for k in keys if len({json.dumps(c.get(k, "absent")) for c in configs.values()}) > 1}
    section = text.partition("<h2>What differs between the arms</h2>")[2].partition("<h2>")[0]
    assert set(re.findall(r'<th scope="row">(.*?)</th>', section)) == apart
    assert {"labeler.tau", "algo.name"} <= apart


def test_the_commands_give_the_runs(store: Path, text: str) -> None:
    calls = [html.unescape(call) for call in re.findall(r"<pre><code>(.*?)</code></pre>", text, re.DOTALL)]
    runs = [call for call in calls if call.startswith("sslkit run ")]
    assert len(runs) == 12
    words = shlex.split(runs[5])[1:]
    again = sslkit(*words, "--json")
    assert again.code == 0, again.err
    assert again.json["run"] == read_json(folder(store) / "comparison.json")["runs"][5]["run"]
    assert "is finished" in again.err


def test_without_the_data_there_are_no_images(store: Path) -> None:
    data = store.parent / "data"
    data.rename(store.parent / "moved")
    try:
        seen = Seen(page(folder(store)))
    finally:
        (store.parent / "moved").rename(data)
    assert "No images:" in seen.text
    assert not [tag for tag, _ in seen.tags if tag == "img"]
    assert "12 runs" in seen.text


def test_damaged_runs_and_stages_are_no_end(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(store, copy)
    runs = read_json(folder(copy) / "comparison.json")["runs"]
    torn, gone, log, spec = (copy / "stages" / runs[i]["stages"]["semi"] for i in (0, 1, 2, 3))
    (torn / "result.json").write_text((torn / "result.json").read_text()[:50])
    shutil.rmtree(gone)
    (log / "metrics.jsonl").write_bytes((log / "metrics.jsonl").read_bytes()[:-30])
    (spec / "spec.json").write_text("[]")
    (copy / runs[4]["run"] / "results.json").write_text('{"schema": 1}')
    shutil.rmtree(copy / runs[5]["run"])
    seen = Seen(page(folder(copy)))
    assert f"{torn / 'result.json'} is damaged" in seen.text
    assert f"stage {gone.name} is not in the store" in seen.text
    assert f"cannot read {copy / runs[5]['run'] / 'run.json'}" in seen.text
    shown = sslkit("table", "--runs", copy, "--format", "json").json["summary"]
    assert [line["n"] for line in shown if line.get("failed")] == [1]
    assert {line["row"] for line in shown} == {"finetune", "finetune+", *ARMS}


@pytest.mark.parametrize(
    ("name", "form"),
    [("t.csv", "csv"), ("t.md", "markdown"), ("t.tex", "latex"), ("t.json", "json"), ("t.txt", "rich"), ("t", "rich")],
)
def test_a_file_holds_what_is_printed(store: Path, tmp_path: Path, name: str, form: str) -> None:
    file = tmp_path / name
    file.write_text("before")
    made = sslkit("table", "--runs", store, "--out", file)
    assert (made.code, made.out, made.err) == (0, f"{file}\n", "")
    if form != "rich":
        assert file.read_text("utf-8") == sslkit("table", "--runs", store, "--format", form).out
    assert file.read_text("utf-8") != "before"
    assert list(tmp_path.iterdir()) == [file], "nothing else is left"
    other = sslkit("table", "--runs", store, "--out", file, "--format", "csv")
    assert other.code == 0
    assert file.read_text("utf-8").startswith("condition,row,seed"), "--format beats the name"


def test_files_that_cannot_be(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path, tmp_path / "none" / "t.html"):
        assert_refused(sslkit("table", "--runs", store, "--out", place), "--out", "a folder that can be written to")
        refused = sslkit("compare", "--algo", "fixmatch", "--seeds", 1, "--runs", tmp_path / "runs", "--out", place)
        assert_refused(refused, "--out")
    assert not (tmp_path / "runs").exists(), "refused before anything is trained"
    (tmp_path / "t.csv").write_text("before")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert_refused(sslkit("table", "--runs", store, "--out", tmp_path / "t.csv"), "No space left")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_one_seed_has_values_and_no_statements(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "runs")
    mark = folder(tmp_path / "runs") / "comparison.json"
    about = read_json(mark)
    first = about["runs"][0]["condition"]
    about["runs"] = [done for done in about["runs"] if not done["seed"] and done["condition"] == first]
    mark.write_text(json.dumps(about | {"study": "semi_vit"}))
    seen = Seen(page(mark.parent))
    assert "As in the paper" in seen.text
    assert " 79.7 " in seen.text, "what was published for ViT-B with 10% of the labels"
    assert "too few for an interval" in seen.text
    assert sum((a.get("aria-label") or "").startswith("Differences") for _, a in seen.tags) == 1
    assert not [a for _, a in seen.tags if (a.get("aria-label") or "").startswith("Accuracy")]
    assert "As in the paper" not in Seen(page(folder(store))).text


def test_the_code_of_the_guide(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(store)
    for code in blocks("docs/comparing.md", "python"):
        exec(code.replace("compare-1a2b3c4d", folder(store).name), {})
    assert (tmp_path / "loss.pdf").read_bytes().startswith(b"%PDF")
