"""CVAT's XML, "CVAT for images": tags are classes; boxes, masks and other shapes are none.

A tag that a model gave, and that nobody has changed since, has source="auto"; one that was imported has source="file",
and is a prediction if it has a confidence.
https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sslkit.errors import UserError
from sslkit.labelling.entries import OTHER, PREDICTED, SHAPES, Entry, kinds
from sslkit.labelling.source import Source

NAME = "cvat"
TITLE = "CVAT for images"
CONFIDENCE = "confidence"  # the attribute by which an imported prediction is known


def knows(source: Source) -> bool:
    if source.is_folder:
        found = source.inside(".xml")
        return bool(found) and all(map(knows, found))
    return source.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"<annotations" in source.data[:4096]


def read(source: Source, accepted: bool) -> list[Entry]:
    """The images, of a folder those of all its files; several files are parts of that name.

    Args:
        accepted: tags by a model count as those of an annotator.

    Raises:
        UserError: it is no such XML, or of videos.
    """
    files = source.inside(".xml") if source.is_folder else [source]
    return [entry for file in files for entry in _images(file, accepted, file.stem if len(files) > 1 else "")]


def _images(source: Source, accepted: bool, split: str) -> list[Entry]:
    root = parsed(source)
    if root.tag != "annotations" or (root.find("track") is not None and root.find("image") is None):
        what = "CVAT for video" if root.find("track") is not None else f"XML of <{root.tag}>"
        raise UserError(f"{source.said} is {what}; export the task as CVAT for images")
    return [_entry(image, accepted, split) for image in root.iter("image")]


def _entry(image: Element, accepted: bool, split: str) -> Entry:
    tags = image.findall("tag")
    sure = [tag for tag in tags if accepted or not _predicted(tag)]
    lost = [SHAPES] if any(child.tag != "tag" for child in image) else []
    lost += [OTHER] if any(one.text and one.get("name") != CONFIDENCE for tag in sure for one in tag) else []
    lost += [PREDICTED] if len(sure) < len(tags) else []
    classes = tuple(tag.get("label", "") for tag in sure)
    name, part = image.get("name", ""), image.get("subset") or split
    return Entry(name, (classes,), (f"{part}/{name}",) if part else (), part, kinds(lost))


def _predicted(tag: Element) -> bool:
    sure = any(one.get("name") == CONFIDENCE and one.text for one in tag)
    return tag.get("source") == "auto" or (tag.get("source") == "file" and sure)


def parsed(source: Source) -> Element:
    """The root of an XML file. One that declares a document type, which may define entities, is refused: none of CVAT's
    does.

    Raises:
        UserError: it is no XML, or declares a document type.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise UserError(f"{source.said} declares a document type, as no file of CVAT does, and is not read")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(source.data, True)
    except expat.ExpatError as error:
        raise UserError(f"{source.said} is no XML: {error}") from None
    return builder.close()
