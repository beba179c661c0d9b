"""What is in the tar files of a WebDataset: of each image where it lies, and what stands beside it under its key.

A file is gone through once, header by header; what was found is kept in the store by path, size and time of change.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sslkit.data.formats import suffixes
from sslkit.data.kept import kept, kept_folder
from sslkit.datasets._folders import is_hidden
from sslkit.errors import UserError, one_line
from sslkit.store import anywhere, remote
from sslkit.store.drives import tried_again

AT_ONCE = 8  # tar files that are gone through at a time
TEXTS = ("cls", "json", "txt")  # what is kept of a sample beside its image
LONGEST = 100_000  # bytes of such a text
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd", b"PK\x03\x04": "zip"}
FORMAT = 1  # raised when other things are kept


@dataclass
class Sample:
    """The files of one key."""

    key: str  # with folders, up to the first dot of its name
    images: dict[str, tuple[int, int]] = field(default_factory=dict)  # what follows the dot -> first byte, and size
    texts: dict[str, str] = field(default_factory=dict)


@dataclass
class Shard:
    """One tar file."""

    samples: list[Sample]  # in the order of their first files
    left: dict[str, int]  # files that are neither images nor texts, by suffix
    apart: list[str]  # keys whose files do not stand together


def shards_of(files: Sequence[Path]) -> list[Shard]:
    """What is in each of some tar files, several at a time.

    Raises:
        UserError: one is missing, compressed, or no tar file, is cut off, or has a name twice.
    """
    gone = [str(file) for file in files if not file.is_file()]
    if gone:
        raise UserError(f"{len(gone)} of {len(files)} tar files are not there: {', '.join(gone[:10])}")
    folder = kept_folder()  # which threads do not know
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [*pool.map(lambda file: _known(file, folder), files)]


@tried_again
def _known(file: Path, folder: Path | None) -> Shard:
    ways = f"{FORMAT} {anywhere.mark(file)} {suffixes()}".encode(errors="surrogateescape")
    path = folder / f"shard-{sha256(ways).hexdigest()[:16]}.json" if folder else None
    return kept(path, lambda: asdict(_read(file)), _loaded)


def _loaded(content: dict[str, Any]) -> Shard:
    samples = [
        Sample(one["key"], {name: (start, size) for name, (start, size) in one["images"].items()}, one["texts"])
        for one in content["samples"]
    ]
    return Shard(samples, content["left"], content["apart"])


def _read(file: Path) -> Shard:
    packed = next((name for head, name in PACKED.items() if anywhere.read(file, 0, 6).startswith(head)), "")
    if packed:
        raise UserError(f"{file} is packed by {packed}, in which no image can be gone to; unpack it to a plain .tar")
    try:
        with _opened(file) as source, tarfile.open(fileobj=source, mode="r:") as archive:
            return _sorted(file, archive)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise UserError(f"{file} is no tar file, or is cut off or damaged: {one_line(error)}") from None


def _opened(file: Path) -> io.BufferedReader | remote.Window:
    return remote.Window(str(file)) if anywhere.is_remote(file) else file.open("rb")


def _sorted(file: Path, archive: tarfile.TarFile) -> Shard:
    """The members by their keys."""
    found, left, apart = dict[str, Sample](), Counter[str](), dict[str, None]()
    last, known, name = "", suffixes(), "its beginning"
    for one in archive:
        name = one.name
        split = _key(name)
        if not one.isfile() or split is None:
            left[_kind(one)] += not one.isdir() and not _hidden(name)
            continue
        key, suffix = split
        if key in found and key != last:
            apart[key] = None
        sample, last = found.setdefault(key, Sample(key)), key
        if suffix in sample.images or suffix in sample.texts:
            raise UserError(f"{file} holds {name} twice; a sample of a WebDataset has a file once")
        if f".{suffix.rpartition('.')[2]}" in known:
            sample.images[suffix] = one.offset_data, one.size
        elif suffix in TEXTS and one.size <= LONGEST:
            sample.texts[suffix] = _text(file, name, archive, one)
        else:
            left[f".{suffix}"] += 1
    _check_end(archive, name)
    return Shard([*found.values()], dict(left), [*apart])


def _key(name: str) -> tuple[str, str] | None:
    """The key of a name, and what follows its first dot in small letters; None where it has none or is hidden."""
    match = re.fullmatch(r"(?:\./)*((?:.*/)?[^./][^./]*)\.([^/]+)", name, re.DOTALL)
    return None if match is None or _hidden(name) else (match[1], match[2].lower())


def _hidden(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return any(map(is_hidden, parts)) or bool(parts and re.fullmatch(r"__.*__", parts[-1]))


def _kind(one: tarfile.TarInfo) -> str:
    return "links" if one.issym() or one.islnk() else "without a suffix"


def _text(file: Path, name: str, archive: tarfile.TarFile, one: tarfile.TarInfo) -> str:
    source = archive.extractfile(one)
    data = source.read() if source else b""
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeError:
        raise UserError(f"{file}/{name} is no text in UTF-8") from None


def _check_end(archive: tarfile.TarFile, last: str) -> None:
    """Python also takes a damaged header for the end, and a file that stops between two members for whole.

    Raises:
        tarfile.ReadError: there is no mark of the end where it is taken to be.
    """
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"there is no end behind {last}")


def expanded(text: str) -> list[str]:
    """Names in the order of their braces, as a shell has them: `{000..010}`, `{0..8..2}`, `{a,b}`, one in another.

    Raises:
        UserError: a range counts backwards, or has no step.
    """
    found = _braces(text)
    if found is None:
        return [text]
    before, inside, after = found
    words = [*_choices(inside)]
    some = [word for part in words for word in expanded(part)] if len(words) > 1 else _range(inside, text)
    return [f"{before}{word}{rest}" for word in some for rest in expanded(after)]


def _braces(text: str) -> tuple[str, str, str] | None:
    """What stands before, in and behind the first pair of braces."""
    start, depth = text.find("{"), 0
    for at in range(start, len(text)) if start >= 0 else ():
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[:start], text[start + 1 : at], text[at + 1 :]
    return None


def _choices(inside: str) -> Iterator[str]:
    """The parts between commas that stand in no further braces."""
    depth, word = 0, ""
    for letter in inside:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and not depth:
            yield word
            word = ""
        else:
            word += letter
    yield word


def _range(inside: str, text: str) -> list[str]:
    match = re.fullmatch(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?", inside)
    if match is None:
        return [f"{{{word}}}" for word in expanded(inside)]  # braces that are part of the name
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if last < first or not step:
        raise UserError(f"{text}: {{{inside}}} counts nothing; right is {{000..010}}, from the lower number on")
    padded = any(word.startswith("0") and len(word) > 1 for word in match.group(1, 2))
    width = max(len(match[1]), len(match[2])) if padded else 0
    return [f"{number:0{width}d}" for number in range(first, last + 1, step)]
