"""`sslkit convert`: labels of other tools as a table. Imports nothing heavy before it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.documents import ConvertAnswer


@click.command("convert", short_help="Labels of Label Studio, CVAT, FiftyOne, COCO, Datumaro as a table.")
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT.csv")
@click.option("--format", "form", default="", metavar="NAME", help="Of IN.  [default: told by its content]")
@click.option("--images", metavar="DIR", help="Folder in which every image must be; paths are relative to OUT.csv.")
@click.option("--onto", metavar="TABLE", help="Keep the rows of this table, as audit's labels.csv, with new labels.")
@click.option("--majority", is_flag=True, help="Where annotators disagree, what more than half say.  [default: none]")
@click.option("--accepted", is_flag=True, help="Take predictions in CVAT's XML that nobody changed for labels.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="data.label, data.image: a control or column.")
@as_json(ConvertAnswer)
def convert_command(source: str, out: str, as_json: bool, sets: tuple[str, ...], **options: Any) -> None:
    """Write the labels of IN, a file or folder of a labelling tool, as a table that `--labels file:OUT.csv` reads.

    Formats are label-studio (JSON), label-studio-table (CSV, JSON_MIN), cvat (for images), datumaro, coco, fiftyone,
    imagenet-txt, folders (ImageNet, FiftyOne's trees) and table. Every image of IN is one row; what is lost is said.
    """
    from sslkit.config.resolve import parse_set
    from sslkit.data.columns import Columns
    from sslkit.errors import listed, unknown
    from sslkit.look.convert import Wish, convert
    from sslkit.terminal import count

    keys = dict(map(parse_set, sets))
    for key in keys.keys() - {"data.label", "data.image"}:
        raise unknown("key", key, ("data.label", "data.image"))
    columns = Columns(image=str(keys.get("data.image", "")), label=str(keys.get("data.label", "")))
    images, onto = (Path(options[name]) if options[name] else None for name in ("images", "onto"))
    wish = Wish(options["form"], images, onto, options["majority"], options["accepted"], columns)
    found = convert(Path(source), Path(out), wish)
    classes = ", ".join(f"{name} {number}" for name, number in found["classes"].items())
    said = [
        f"{source} ({found['title']}): {count(found['images'], 'image')} in, {count(found['rows'], 'row')} out, "
        f"{found['labelled']} with a class: {classes}"
    ]
    if "changed" in found:
        told = ", ".join(f"{found[name]} {name}" for name in ("changed", "new", "same"))
        said.append(f"labels in the table: {told}; {count(found['added'], 'row')} added")
    for reason, names in found["reasons"].items():
        said.append(f"{reason}: {count(len(names), 'image')} ({listed(names, 10)})")
    said.append(f"train with --labels file:{out}, or --data csv:{out} where its paths hold")
    if as_json:
        answer(found | {"notes": said})
        return
    for sentence in said:
        click.echo(sentence)
