"""A map as a parquet file: images, vectors, probabilities and coordinates, a row an image."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sslkit.data.image import Array
from sslkit.finished.scatter.points import Points
from sslkit.finished.scatter.thumbnails import pictures
from sslkit.store.files import replacing

ROWS = 1000  # of a row group, in memory at once
NUMBERS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),  # as Hugging Face's datasets write images
        "path": pa.string(),
        "part": pa.string(),
        "label": pa.string(),  # null where the run knows none
        "prediction": pa.string(),
        "confidence": pa.float32(),
        "margin": pa.float32(),
        "x": pa.float32(),
        "y": pa.float32(),
        "probabilities": NUMBERS,
        "vector": NUMBERS,
    }
)


def write_table(points: Points, out: Path) -> None:
    """Write the parquet file; the order of the classes and how x and y were found stand in its metadata, as `sslkit`.

    Raises:
        UserError: it cannot be written, or an image cannot be read.
    """
    about = {"run": points.run, "classes": [*points.classes], "projection": points.projection.said}
    typed = {"info": {"features": {"image": {"_type": "Image"}}}}  # what datasets reads a struct as
    schema = SCHEMA.with_metadata({"sslkit": json.dumps(about), "huggingface": json.dumps(typed)})
    files = pictures(points.pixels)
    with replacing(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(points.names), ROWS):
            some = np.arange(start, min(start + ROWS, len(points.names)))
            writer.write_table(_rows(points, some, [*islice(files, len(some))], schema))


def _rows(points: Points, some: Array, files: list[bytes], schema: pa.Schema) -> pa.Table:
    names = [_text(points.names[i]) for i in some]
    classes = points.classes
    return pa.table(
        {
            "image": [{"bytes": file, "path": name} for file, name in zip(files, names, strict=True)],
            "path": names,
            "part": [points.parts[k] for k in points.part[some]],
            "label": [classes[c] if c >= 0 else None for c in points.label[some]],
            "prediction": [classes[c] for c in points.prediction[some]],
            "confidence": points.confidence[some].astype(np.float32),
            "margin": points.margin[some].astype(np.float32),
            "x": points.projection.xy[some, 0],
            "y": points.projection.xy[some, 1],
            "probabilities": _lists(points.p[some]),
            "vector": _lists(points.features[some]),
        },
        schema,
    )


def _text(name: str) -> str:
    """The name of a file that is no UTF-8, in letters that are."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _lists(numbers: Array) -> pa.Array:
    """(N, K) as N lists."""
    n, k = numbers.shape
    flat = pa.array(numbers.astype(np.float32).ravel())
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * k), flat)
