"""Class and file names are text: never a path, markup or a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.cli.call import Call, folder_of, run, sslkit

HOSTILE = ["../../x", "[/red]", "=cmd"]


def png(c: int, i: int) -> bytes:
    pixels = np.random.default_rng((c, i)).integers(0, 60, (8, 8)) + 90 * (c % 3)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "png")
    return file.getvalue()


def write(folder: Path, classes: list[str]) -> None:
    folder.mkdir()
    for part, n in (("train", 12), ("test", 5)):
        rows = [(name, png(c, i)) for c, name in enumerate(classes) for i in range(n)]
        table = pa.table({"image": [{"bytes": b, "path": None} for _, b in rows], "label": [name for name, _ in rows]})
        pq.write_table(table, folder / f"{part}.parquet")


def trained(classes: list[str], *arguments: str) -> Call:
    """A run on the folder `data`; also checks that its table can be printed."""
    write(Path("data"), classes)
    made = run("--data", "parquet:data", "--labels", "4/class", "--json", *arguments)
    assert made.code == 0, made.err
    return made


def test_hostile_class_names_through_run_show_and_predict(tmp_path: Path) -> None:
    made = trained(HOSTILE)
    folder = folder_of(made, Path("runs"))
    shown = sslkit("show", folder)
    assert shown.code == 0, shown.err
    assert sslkit("predict", folder, "--test", "--all").code == 0
    with Path("predictions.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "label", "class", "confidence", "../../x", "'=cmd", "[/red]"]
    assert len(rows) == 15
    assert {row[1] for row in rows} <= {"../../x", "'=cmd", "[/red]"}
    assert not any(cell.startswith(("=", "+", "@")) for row in [header, *rows] for cell in row)
    # Everything lies where it should: nothing climbed out of the runs folder.
    assert {p.name for p in tmp_path.iterdir()} == {"data", "runs", "predictions.csv"}
    assert {p.name for p in Path("runs").iterdir()} == {"stages", "data", folder.name, ".claims"}


@pytest.mark.parametrize("labels", ["40/class", "13/class"])
def test_a_class_too_small_is_named_as_it_is(labels: str) -> None:
    write(Path("data"), HOSTILE)
    call = run("--data", "parquet:data", "--labels", labels)
    assert call.code == 2
    assert "'../../x', which has 12" in call.err
    assert len(call.err.strip().splitlines()) == 1


def test_two_classes_have_no_top5(tmp_path: Path) -> None:
    made = trained(["yes", "no"])
    assert "top5" not in made.json["stages"][-1]["networks"]["averaged"]
    shown = sslkit("show", folder_of(made, Path("runs")))
    assert shown.code == 0
    assert "top-5" not in shown.out


def test_the_table_is_printed_for_few_classes() -> None:
    write(Path("data"), ["yes", "no"])
    made = run("--data", "parquet:data", "--labels", "4/class")
    assert made.code == 0, made.err
    assert "averaged" in made.out


@pytest.mark.parametrize("name", ["../../up", "[/red]", "", "a" * 500, "..", "CON", "é"])
def test_names_of_runs_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    from sslkit.store import Store

    folder = Store(tmp_path / "runs").run_folder(name, "12345678")
    assert folder.parent == tmp_path / "runs"
    assert folder.name.endswith("-12345678")
    assert not folder.name.startswith((".", "-"))
    assert len(folder.name) < 120


@pytest.mark.parametrize("name", ["a" * 78, "a" * 300, "digits-" + "b" * 66])
def test_a_long_name_keeps_the_number_at_its_end_and_is_cut_once(name: str) -> None:
    from sslkit.store import safe

    cut = safe(f"{name}-12")
    assert cut.endswith("-12")
    assert cut.startswith(name[:70])
    assert safe(cut) == cut
    assert len(cut) <= 80


def test_changed_data_are_noticed_by_predict() -> None:
    folder = folder_of(trained(["yes", "no"]), Path("runs"))
    write(Path("other"), ["yes", "no"])
    rows = pq.read_table("other/test.parquet")
    pq.write_table(rows.slice(0, 9), "data/test.parquet")
    call = sslkit("predict", folder, "--test")
    assert call.code == 2
    assert "has changed since" in call.err
    assert not Path("predictions.csv").exists()
