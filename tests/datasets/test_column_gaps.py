"""Gaps in a table: words for nothing, images without a group, and columns that are no labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.datasets.make import pictures, read
from tests.datasets.test_column_types import N
from tests.datasets.test_columns import as_words, csv, table, write


@pytest.mark.parametrize("place", ["parquet", "csv"])
@pytest.mark.parametrize("nothing", ["", "nan", None])
def test_images_without_a_group_stand_alone(nothing: str | None, place: str, tmp_path: Path) -> None:
    groups = ["p1", nothing, "p2", nothing, "p1", nothing]
    if place == "csv":
        pictures(tmp_path, [f"{i}.png" for i in range(6)])
        lines = [[f"{i}.png", "ab"[i % 2], group or ""] for i, group in enumerate(groups)]
        options = {"file": str(csv(tmp_path, ["path", "label", "patient"], lines))}
    else:
        write(tmp_path, "all", table({"label": [0, 1] * 3, "patient": groups}, 6))
        options = {"dir": str(tmp_path)}
    found = read(place, **options)[1].groups
    assert len({*found}) == 5
    assert found[0] == found[4]


@pytest.mark.parametrize("missing", ["NA", "N/A", "null", "None", "#N/A", "<NA>"])
def test_a_word_for_nothing_is_no_label_among_numbers_and_said_among_words(missing: str, tmp_path: Path) -> None:
    pictures(tmp_path, [f"{i}.png" for i in range(6)])
    for cells in (["1", "0", missing, "10", "1", missing], ["cat", "dog", missing, "cat", "dog", missing]):
        file = csv(tmp_path, ["path", "label"], [[f"{i}.png", cell] for i, cell in enumerate(cells)])
        write(tmp_path, "all", table({"label": cells}, 6))
        number = cells[0] == "1"
        word = None if number or missing == "<NA>" else missing
        wanted = [word if cell == missing else cell for cell in cells]
        for data in (f"csv:{file}", f"parquet:{tmp_path}"):
            made = prepare({"data": data, "data.labels": "1/class", "data.test": 0.1, "backbone": "vit_micro"})
            kept = [made.images.classes[c] if c >= 0 else None for c in made.images.label]
            assert sorted(kept, key=str) == sorted(wanted, key=str)
            said = next(remark for remark in made.remarks if "labels are the column 'label'" in remark)
            assert (f"{missing!r} is a class, an empty cell is no label" in said) == (word is not None)


@pytest.mark.parametrize("place", ["csv", "parquet"])
def test_images_with_captions_are_enough_to_pretrain(place: str, tmp_path: Path) -> None:
    """The only other column is no column of labels where none of its values repeats; pre-training needs none."""
    captions = [f"a photo, the {i}th" for i in range(N)]
    pictures(tmp_path, [f"{i}.png" for i in range(N)])
    file = tmp_path / "t.tsv"
    file.write_text("path\tcaption\n" + "".join(f"{i}.png\t{text}\n" for i, text in enumerate(captions)))
    write(tmp_path, "all", table({"caption": captions}, N))
    data = f"csv:{file}" if place == "csv" else f"parquet:{tmp_path}"
    made = prepare({"data": data, "backbone": "vit_micro", "stages": "pretrain"})
    assert (len(made.split.pool), made.images.train) == (N, N)
    with pytest.raises(UserError, match="no class has an image to spare"):
        prepare({"data": data, "backbone": "vit_micro", "data.labels": "1/class"})


@pytest.mark.parametrize("missing", ["NA", "null", "None"])
def test_numbers_that_are_missing_make_no_words_of_the_others(missing: str, tmp_path: Path) -> None:
    """As R writes them: of a measure, which is no candidate, and of columns of 0 and 1."""
    age = [missing if i % 5 == 0 else f"{20 + i / 4}" for i in range(N)]
    wanted = [None if i % 4 == 0 else "ab"[i % 2] for i in range(N)]
    hot = {name: [missing if word is None else str(int(word == name)) for word in wanted] for name in "ab"}
    pictures(tmp_path, [f"{i}.png" for i in range(N)])
    for columns in ({"age": age, "species": [word or "" for word in wanted]}, {"age": age, **hot}):
        lines = [[f"{i}.png", *cells] for i, cells in enumerate(zip(*columns.values(), strict=True))]
        file = csv(tmp_path, ["path", *columns], lines)
        write(tmp_path, "all", table(columns, N))
        for place, options in (("csv", {"file": str(file)}), ("parquet", {"dir": str(tmp_path)})):
            classes, train, _ = read(place, **options)
            assert as_words(classes, train) == wanted
    for place, options in (("csv", {"file": str(file)}), ("parquet", {"dir": str(tmp_path)})):
        with pytest.raises(UserError, match=r"column 'age' holds 2\d.\d+, a measure and no class"):
            read(place, **options, label="age")
