"""`sslkit predict`, `audit`, `export`, `map`: what is done with a finished run. Nothing heavy is imported before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sslkit.cli.answers import answer, as_json
from sslkit.cli.completion import runs
from sslkit.cli.documents import AuditAnswer, ExportAnswer, MapAnswer, PredictAnswer
from sslkit.cli.options import plugins, with_bars
from sslkit.terminal.told import remark

network = click.option(
    "--network",
    default="averaged",
    show_default=True,
    metavar="averaged|student|best",
    help="averaged: EMA of the weights; best: that at the best step by --val.",
)
calibrated = click.option("--calibrated", is_flag=True, help="With the temperature that was fitted on --val.")


@click.command("predict", short_help="Classify images with a finished run.")
@click.argument("run", shell_complete=runs)
@click.argument("paths", nargs=-1)
@click.option("--test", is_flag=True, help="Predict the stored test set, and say the accuracy.")
@click.option("--out", default="predictions.csv", show_default=True, help="CSV file to make; never overwritten.")
@click.option("--all", "all_classes", is_flag=True, help="One column a class.")
@click.option("--top", type=int, default=1, show_default=True, metavar="K", help="The K most probable classes.")
@click.option(
    "--unknown-below", type=float, default=0.0, metavar="P", help="Below this confidence the class is 'unknown'."
)
@click.option(
    "--on-bad-image",
    type=click.Choice(["mark", "skip", "stop"]),
    default="mark",
    show_default=True,
    help="What an image does that cannot be read: a row with the reason, none, or an end.",
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Of a data set, as --set data.test=val.")
@network
@calibrated
@plugins
@as_json(PredictAnswer)
@with_bars
def predict_command(
    run: str,
    paths: tuple[str, ...],
    out: str,
    all_classes: bool,
    top: int,
    unknown_below: float,
    sets: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Classify images with the averaged network of a finished run.

    PATHS are image files, folders, tar, zip and parquet files, lists of paths, and data sets as csv:FILE. Where labels
    are known, by folders that are called as the classes or by the data set, it also says the accuracy and the worst
    errors.
    """
    from sslkit.config.resolve import parse_set
    from sslkit.finished.predict import UNKNOWN, Form, predict
    from sslkit.store.sent import written
    from sslkit.terminal import count

    form = Form(all_classes, top, unknown_below)
    with written(out) as place:
        found = predict(Path(run), paths, out=place, form=form, keys=dict(map(parse_set, sets)), **options)
    for sentence in found.get("remarks", ()):
        remark(sentence)
    for word in ("skipped", "unread"):
        for reason in found.get(word, ()):
            remark(f"{word}: {reason}")
    said = [f"{count(found['images'], 'image')} predicted, written to {out}"]
    said += [f"{found['unknown']} are {UNKNOWN}, below {unknown_below:g}"] if "unknown" in found else []
    what = "accuracy of the most probable class, known or not," if found.get("unknown") else "accuracy"
    said += [f"{found['labeled']} have a label, {what} {100 * found['top1']:.1f}%"] if "top1" in found else []
    if "map" in found:
        said += [f"{found['labeled']} have labels, mAP {100 * found['map']:.1f}%, F1 {found['micro_f1']:.3f}"]
    if as_json:
        answer(found | {"notes": ["; ".join(said)]})
        return
    click.echo("; ".join(said))
    if found.get("errors"):
        show_errors(found["errors"])


def show_errors(errors: list[dict[str, Any]]) -> None:
    """The most confident errors as a table; names in it are no markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="the most confident errors", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("file", "label", "class", "confidence"):
        table.add_column(name, justify="right" if name == "confidence" else "left", overflow="fold")
    for row in errors:
        table.add_row(*(Text(row[name]) for name in ("file", "label", "class")), f"{row['confidence']:.3f}")
    Console(emoji=False).print(table, highlight=False)


@click.command("audit", short_help="Which images to label next, which labels are likely wrong.")
@click.argument("run", shell_complete=runs)
@click.option("--out", required=True, metavar="DIR", help="Folder to make; never overwritten.")
@click.option("--n", type=int, default=100, show_default=True, help="Images in each of the two lists.")
@click.option(
    "--to",
    type=click.Choice(["csv", "label-studio", "cvat"]),
    default="csv",
    show_default=True,
    help="Also as tasks with predictions, for a labelling tool to import.",
)
@click.option(
    "--prefix",
    metavar="TEXT",
    help="Before the images' names in the tool.  [default: /data/local-files/?d= for label-studio]",
)
@plugins
@as_json(AuditAnswer)
@with_bars
def audit_command(run: str, out: str, n: int, to: str, prefix: str | None, as_json: bool) -> None:
    """List the images that are worth a label most, labels that are likely wrong, and what looks like no known class."""
    from sslkit.errors import UserError
    from sslkit.finished.audit import audit
    from sslkit.store.sent import written

    if prefix is not None and to == "csv":
        raise UserError("--prefix is of a labelling tool; add --to label-studio or --to cvat")
    with written(out) as place:
        found = audit(Path(run), place, n, to, prefix)
    said = [
        f"predictions agree with {100 * found['shared']:.0f}% of the labels, and confident learning counts "
        f"{found['likely']} to another class, which is right of the labels or of the predictions; listed are the "
        f"{found['suspect_labels']} most doubtful, and {found['label_next']} images to label next. "
        f"Look at {out}/index.html, correct {out}/labels.csv, and train with --labels file:{out}/labels.csv"
    ]
    if found["pool"]:
        said.append(
            f"of the pool at least {100 * found['outside_at_least']:.0f}% look like no class of the labels (with 95% "
            f"confidence, measured against validation and test images); {found['outside']} of {found['pool']} images "
            f"look less like one than 95% of those: {out}/outside.csv, left out by --pool without:{out}/outside.csv"
        )
    for_tool = [f"{out}/{name}" for name in found["files"] if name.startswith(to) and to != "csv"]
    if for_tool:
        said.append(
            f"to import: {', '.join(for_tool)}; what comes back becomes labels by "
            f"sslkit convert EXPORT labels.csv --onto {out}/labels.csv"
        )
    if as_json:
        answer(found | {"notes": said})
        return
    for sentence in said:
        click.echo(sentence)


@click.command("export", short_help="The network for timm, ONNX or torch.")
@click.argument("run", shell_complete=runs)
@click.option(
    "--format",
    "form",
    type=click.Choice(["timm", "mae", "onnx", "torch", "run", "hub"]),
    default="timm",
    show_default=True,
    help="timm: a folder of weights; mae: the stage pretrain; onnx, torch: a program that takes pixels; run: all that "
    "the run needs, to be used on another machine; hub: timm's folder with a card.",
)
@click.option(
    "--out",
    required=True,
    metavar="PATH",
    help="Folder (timm, run, hub) or file to make (run: NAME.zip); never overwritten.",
)
@click.option(
    "--check-on", multiple=True, metavar="PATH", help="Images to compare with torch on.  [default: the test images]"
)
@click.option("--push", metavar="OWNER/NAME", help="Of format hub: also upload it, to a private repository.")
@network
@calibrated
@plugins
@as_json(ExportAnswer)
@with_bars
def export_command(run: str, out: str, as_json: bool, **asked: Any) -> None:
    """Write the network of a finished run for other programs, or its pre-training as MAE has it."""
    found, sentence = _exported(Path(run), out, **asked)
    if as_json:
        answer({"out": out, "format": asked["form"]} | found | {"notes": [sentence] if sentence != out else []})
    else:
        click.echo(sentence)


def _exported(
    run: Path, out: str, form: str, network: str, calibrated: bool, check_on: tuple[str, ...], push: str | None
) -> tuple[dict[str, Any], str]:
    """What was written, and a sentence on it."""
    from sslkit.errors import UserError
    from sslkit.finished import export, graph, packing
    from sslkit.store.sent import written

    if form == "run":
        options = {"--check-on": check_on, "--calibrated": calibrated, "--network": network != "averaged"}
        for option in (name for name, given in options.items() if given):
            raise UserError(f"format run holds all networks of the run and executes none; drop {option}")
        with written(out) as place:
            plugins = packing.pack(run, place)
        needed = f" (its commands need {' '.join(f'--plugin FOLDER/{name}' for name in plugins)})" if plugins else ""
        sentence = f"{out}: all that the run needs but its images; `sslkit predict` and `export` take it{needed}"
        return {"check": None, "plugins": plugins}, sentence
    if push is not None and form != "hub":
        raise UserError(f"--push is of format hub; add --format hub, or drop it for {form}")
    if form in ("timm", "mae", "hub"):
        if check_on:
            raise UserError(f"format {form} holds weights, which are not executed; drop --check-on")
        if calibrated:
            raise UserError(f"format {form} holds weights and no temperature; drop --calibrated")
        if form == "mae" and network != "averaged":
            raise UserError("format mae is of the stage pretrain, which has one network; drop --network")
        if form == "hub":
            with written(out) as place:
                return _to_hub(run, place, network, push, out)
        with written(out) as place:
            export.export(run, place, form, network)
        return {"check": None}, out
    with written(out) as place:
        check = graph.export(run, place, form, network, calibrated, check_on)["check"]
    return {"check": check}, (
        f"{out}: agrees with torch on {check['images']} {check['on']} (batch sizes "
        f"{', '.join(map(str, check['batches']))}): largest difference of a probability "
        f"{check['largest_difference']:.1e}, same class for {100 * check['same_class']:.1f}%. Class names and "
        f"preprocessing: {out}.json"
    )


def _to_hub(run: Path, folder: Path, network: str, push: str | None, out: str) -> tuple[dict[str, Any], str]:
    from sslkit.finished import hub

    if push:
        hub.check_token(push)
    found = hub.write(run, folder, network)
    sentence = (
        f"{out}: opened by timm, agrees with the run on {found['images']} {found['on']}: largest difference of a "
        f"probability {found['largest_difference']:.1e}. Read {out}/README.md before it is given away"
    )
    if not push:
        return {"check": found}, sentence
    address = hub.push(folder, push)
    return {"check": found, "uploaded": address}, f"{sentence}\nuploaded to {address}, which is private"


@click.command("map", short_help="All images of a run as points, on a page or in a table.")
@click.argument("run", shell_complete=runs)
@click.option(
    "--out",
    "outs",
    required=True,
    multiple=True,
    metavar="FILE.html|FILE.parquet",
    help="Page to look at, or table for other tools; may be given twice; never overwritten.",
)
@click.option(
    "--most",
    type=int,
    default=20_000,
    show_default=True,
    metavar="N",
    help="Of more images so many, labelled ones first.",
)
@plugins
@as_json(MapAnswer)
@with_bars
def map_command(run: str, outs: tuple[str, ...], most: int, as_json: bool) -> None:
    """Show every image of a run near those that its network sees alike.

    The page has thumbnails, and colours by label, prediction, margin and part; the table has images, vectors and
    probabilities. Points are placed by UMAP where it is installed (pip install 'sslkit[map]'), else by PCA.
    """
    from sslkit.finished.scatter import map_run

    found = map_run(Path(run), [Path(out) for out in outs], most)
    if as_json:
        answer({name: value for name, value in found.items() if name != "said"} | {"notes": found["said"]})
    else:
        click.echo(f"{', '.join(found['out'])}: {'; '.join(found['said'])}")
