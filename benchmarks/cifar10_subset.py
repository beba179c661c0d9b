"""Some of CIFAR-10's images as a data set of their own, for studies that are to end on a laptop.

    python -m benchmarks.cifar10_subset CIFAR10 OUT --train 6000:12000 --test 0:2000

CIFAR10 is a folder with train.parquet and test.parquet; OUT, a new folder, gets such files with the rows from the first
number to before the second. `sslkit ... --data parquet:OUT` reads it. `--stand-in` takes the test from train.parquet,
so that settings can be chosen without a test image being seen. `--classes 2,3` keeps of these rows the images of the
classes with these numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


class Rows(click.ParamType[slice]):
    name = "FIRST:END"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> slice:
        first, _, end = str(value).partition(":")
        if not (first.isdigit() and end.isdigit() and int(first) < int(end)):
            self.fail(f"{value} must be two row numbers, as 6000:12000", param, ctx)
        return slice(int(first), int(end))


@click.command()
@click.argument("cifar10", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(exists=False, path_type=Path))
@click.option("--train", type=Rows(), required=True)
@click.option("--test", type=Rows(), required=True)
@click.option("--stand-in", is_flag=True, help="Take the test from train.parquet.")
@click.option("--classes", default="", help="Numbers of classes, with commas; of others no image is taken.")
def main(cifar10: Path, out: Path, train: slice, test: slice, stand_in: bool, classes: str) -> None:
    chosen = [int(number) for number in classes.split(",") if number]
    source = {"train": ("train", train), "test": ("train" if stand_in else "test", test)}
    out.mkdir(parents=True)
    for name, (file, rows) in source.items():
        table = pq.read_table(cifar10 / f"{file}.parquet").slice(rows.start, rows.stop - rows.start)
        table = _only(table, chosen) if chosen else table
        pq.write_table(table, out / f"{name}.parquet")
        click.echo(f"{out / name}.parquet: {table.num_rows} images")


def _only(table: pa.Table, chosen: list[int]) -> pa.Table:
    """The images of these classes, whose labels are names now: numbers would have gaps."""
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    names = pa.array(features["label"]["names"])
    table = table.filter(pc.field("label").isin(chosen)).replace_schema_metadata(None)
    place = table.column_names.index("label")
    return table.set_column(place, "label", names.take(table["label"].combine_chunks()))


if __name__ == "__main__":
    main()
