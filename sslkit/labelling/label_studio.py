"""Label Studio's JSON: tasks with their annotations. Choices are classes; one that belongs to a region is none.

Skipped annotations are no votes. Where an annotation is marked as ground truth, no other counts.
https://labelstud.io/guide/export
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from sslkit.errors import UserError, listed
from sslkit.labelling.entries import OTHER, PREDICTED, SHAPES, SKIPPED, Entry, kinds
from sslkit.labelling.source import Source

NAME = "label-studio"
TITLE = "Label Studio JSON"
PREFIX = re.compile(r"[0-9a-f]{8}-")  # before the name of a file that was uploaded
IMAGE = re.compile(r"\.(jpe?g|jpe|jfif|png|gif|bmp|webp|tiff?|p[npgb]m|jp2|avif|hei[cf]|dcm|svg)$", re.IGNORECASE)


def knows(source: Source) -> bool:
    return isinstance(source.json, list) and bool(source.json) and all(map(_is_task, source.json))


def read(source: Source, image: str, label: str) -> list[Entry]:
    """The tasks.

    Args:
        image: name of the data's key that has the image; "" where only one can be.
        label: name of the control that has the classes; "" where there is only one.

    Raises:
        UserError: tasks have no image, or several keys or controls may be meant.
    """
    tasks = source.json
    key = image_key([task["data"] for task in tasks], image, source.said)
    control = _control(tasks, label, source.said)
    bare = [str(task.get("id", number)) for number, task in enumerate(tasks, 1) if not task["data"].get(key)]
    if bare:
        raise UserError(f"{source.said}: {len(bare)} of {len(tasks)} tasks have no data {key!r}: {listed(bare)}")
    return [_entry(task, key, control) for task in tasks]


def _is_task(task: Any) -> bool:
    if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
        return False
    lists = [task[name] for name in ("annotations", "predictions") if name in task]
    return bool(lists) and all(one is None or isinstance(one, list) for one in lists)


def _entry(task: Mapping[str, Any], key: str, control: str) -> Entry:
    given = [one for one in task.get("annotations") or [] if isinstance(one, Mapping)]
    done = [one for one in given if not one.get("was_cancelled")]
    lost = [SKIPPED] if len(done) < len(given) else []
    truth = [one for one in done if one.get("ground_truth")]
    votes = []
    for one in truth or done:
        classes, other = _classes(one.get("result") or [], control)
        votes.append(classes)
        lost += other
    lost += [PREDICTED] if task.get("predictions") and not any(votes) else []
    *names, name = stored(str(task["data"].get(key, "")))
    return Entry(name, tuple(votes), tuple(names), lost=kinds(lost))


def _classes(result: Sequence[Any], control: str) -> tuple[tuple[str, ...], list[str]]:
    """The classes of an annotation, and what else it says."""
    classes, lost = list[str](), list[str]()
    for item in result:
        value = item.get("value") if isinstance(item, Mapping) else None
        if not isinstance(value, Mapping):
            lost.append(OTHER)  # a relation
        elif item.get("type") == "choices" and not _is_of_region(value):
            classes += map(str, value.get("choices") or []) if item.get("from_name") == control else ()
            lost += [] if item.get("from_name") == control else [OTHER]
        else:
            lost.append(SHAPES if _is_of_region(value) or {"points", "rle", "brushlabels"} & {*value} else OTHER)
    return tuple(classes), lost


def _is_of_region(value: Mapping[str, Any]) -> bool:
    return {"x", "y"} <= {*value}


def _control(tasks: Sequence[Mapping[str, Any]], label: str, where: str) -> str:
    """The control that has the classes."""
    found = dict[str, int]()
    for task in tasks:
        for one in task.get("annotations") or []:
            for item in one.get("result") or [] if isinstance(one, Mapping) else []:
                if (
                    isinstance(item, Mapping)
                    and item.get("type") == "choices"
                    and not _is_of_region(item.get("value") or {})
                ):
                    found[item["from_name"]] = found.get(item["from_name"], 0) + 1
    return chosen(found, label, where, "controls", "data.label")


def chosen(found: Mapping[str, int], asked: str, where: str, what: str, key: str) -> str:
    """The one name of those that were found; "" where there is none.

    Raises:
        UserError: another one is asked for, or there are several.
    """
    if asked and found and asked not in found:
        raise UserError(f"{where}: {key}={asked} is none of the {what} {', '.join(found)}")
    if asked:
        return asked
    if len(found) > 1:
        told = ", ".join(f"{name} ({count})" for name, count in found.items())
        raise UserError(f"{where}: which of the {what} is meant: {told}? --set {key}={next(iter(found))} says it")
    return next(iter(found), "")


def image_key(records: Sequence[Mapping[str, Any]], asked: str, where: str) -> str:
    """The key whose values are images.

    Raises:
        UserError: none is, or several are.
    """
    found = dict[str, int]()
    for record in records:
        for key, value in record.items():
            if isinstance(value, str) and IMAGE.search(stored(value)[-1]):
                found[key] = found.get(key, 0) + 1
    if not found and not asked:
        keys = ", ".join(dict.fromkeys(key for record in records for key in record))
        raise UserError(f"{where} names no image, it is of another task: its data have {keys or 'nothing'}")
    most = max(found.values(), default=0)
    found = {key: count for key, count in found.items() if 2 * count > most}
    return chosen(found, asked, where, "data", "data.image")


def stored(url: str) -> tuple[str, ...]:
    """The names that an image may have whose address is this, the likeliest last.

    An uploaded file is called as it was with eight hexadecimal digits before, and has lost its folder.
    """
    parts = urlsplit(url) if "://" in url or url.startswith("/") else None
    if parts is None:
        return (url,)
    if "fileuri=" in parts.query:  # what a server makes of an address in a cloud
        code = unquote(parts.query.partition("fileuri=")[2].partition("&")[0])
        return stored(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode(errors="replace"))
    if parts.path.endswith("/local-files/") and "d=" in parts.query:
        return (unquote(parts.query.partition("d=")[2]),)
    path = parts.path if parts.scheme not in ("", "http", "https") else unquote(parts.path)
    before, upload, rest = path.rpartition("/upload/")
    if upload and (before.endswith("/data") or not before):
        own = rest.rpartition("/")[2]
        return (f"upload/{rest}", PREFIX.sub("", own, count=1))
    return (path.lstrip("/") if parts.netloc else path,)
