"""Archives to predict, however they were made: names, links, damage, and drives that fail at times."""

from __future__ import annotations

import errno
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sslkit.errors import UserError
from sslkit.finished import archives
from sslkit.finished.inputs import inputs
from sslkit.store import drives
from tests.cli.conftest import CLASSES
from tests.cli.test_predict_hostile import told


def packed(form: str, names: dict[str, str]) -> str:
    """An archive with these names -> the files on disk that they are, or `->` and what they are links to."""
    if form == "zip":
        with zipfile.ZipFile("a.zip", "w") as archive:
            for name, file in names.items():
                one = zipfile.ZipInfo()
                one.filename, one.create_system = name, 0 if "\\" in name else 3
                archive.writestr(one, Path(file).read_bytes())
        return "a.zip"
    with tarfile.open(f"a.{form}", "w" if form == "tar" else "w:gz") as tar:
        for name, file in names.items():
            info = tarfile.TarInfo(name)
            if file.startswith(("->", "=>")):
                info.type, info.linkname = tarfile.SYMTYPE if file[0] == "-" else tarfile.LNKTYPE, file[2:]
                tar.addfile(info)
            else:
                info.size = Path(file).stat().st_size
                tar.addfile(info, io.BytesIO(Path(file).read_bytes()))
    return f"a.{form}"


PREFIXES = {"./": "", "/home/me/": "home/me/", "../": "../", "": "", "x//": "x/", "./././": ""}


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_in_an_archive_are_read_however_it_writes_them(form: str, prefix: str, photos: list[str]) -> None:
    """As `tar -C d .`, `tar -P` and others do; what is hidden stays so."""
    names = {f"{prefix}{name}": name for name in photos}
    word = packed(form, {**names, f"{prefix}.git/cat/a.png": photos[0]})
    expected = {os.path.normpath(f"{word}/" + PREFIXES[prefix] + name): name.split("/")[1] for name in photos}
    assert told(word) == expected


def test_a_zip_file_of_windows(photos: list[str]) -> None:
    word = packed("zip", {"x\\" + name.replace("/", "\\"): name for name in photos})
    assert told(word) == {f"a.zip/x/{name}": name.split("/")[1] for name in photos}


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_links_in_a_tar_are_what_they_lead_to(form: str, photos: list[str]) -> None:
    """Of equal files tar keeps one, the others as links."""
    links = {"e/dog/a.png": "=>./d/cat/0.png", "e/emu/b.png": "->../../d/cat/1.png", "e/emu/c.png": "->../emu/b.png"}
    lost = {"e/cat/x.png": "->gone.png", "e/cat/y.png": "->z.png", "e/cat/z.png": "->y.png", "e/cat/w.png": "=>no"}
    word = packed(form, {**{f"./{name}": name for name in photos[:2]}, **links, **lost})
    found = {one.name.removeprefix(f"{word}/"): one for one in inputs([word], CLASSES)}
    assert found.keys() == {*photos[:2], *links, *lost}
    for name, target in (("e/dog/a.png", 0), ("e/emu/b.png", 1), ("e/emu/c.png", 1)):
        assert found[name].opened() == Path(photos[target]).read_bytes()
        assert CLASSES[found[name].label] == name.split("/")[1]
    for name in lost:
        with pytest.raises(UserError, match=r"png cannot be read: it is a link to what is not in the archive"):
            found[name].opened()


def test_a_tar_that_is_cut_off_anywhere_is_not_read_in_part(photos: list[str]) -> None:
    """Python takes a header that is cut off or damaged, or no further one, for the end."""
    whole = Path(packed("tar", {name: name for name in photos})).read_bytes()
    end = max(i for i in range(0, len(whole), 512) if whole[i : i + 512] != bytes(512)) + 512
    for size in range(512, end + 1, 256):
        Path("cut.tar").write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.tar cannot be read"):
            told("cut.tar")
    damaged = bytearray(whole)
    damaged[end - 1024] ^= 0xFF  # the last header
    Path("cut.tar").write_bytes(damaged)
    with pytest.raises(UserError, match=r"behind d/emu/0\.png"):
        told("cut.tar")
    Path("cut.tar").write_bytes(whole[: end + 512])
    assert len(told("cut.tar")) == 6, "one zero block is an end"


def test_what_is_damaged_or_encrypted_in_a_zip_has_its_reason(photos: list[str]) -> None:
    Path(packed("zip", {"cat/0.png": photos[0], "cat/1.png": photos[1]})).rename("b.zip")
    content = bytearray(Path("b.zip").read_bytes())
    with zipfile.ZipFile("b.zip") as archive:
        first, second = (one.header_offset for one in archive.infolist())
        central = archive.start_dir
    content[first + 60] ^= 0xFF
    at = central + 46 + len("cat/0.png")
    content[second + 6] |= 1
    content[at + 8] |= 1  # encrypted
    Path("b.zip").write_bytes(content)
    for one, why in zip(inputs(["b.zip"], CLASSES), ("Bad CRC", "encrypted"), strict=True):
        with pytest.raises(UserError, match=f"{one.name} cannot be read: .*{why}"):
            one.opened()


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_an_archive_on_a_drive_that_fails_at_times(
    form: str, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drives, "WAITS", (0.0, 0.0, 0.0))
    drives.said()
    [one] = inputs([packed(form, {"cat/0.png": photos[0]})], CLASSES)
    expected, left = Path(photos[0]).read_bytes(), [2]
    owner, name = (archives, "open") if form == "tar" else (zipfile, "ZipFile")
    real: Callable[..., object] = getattr(owner, name, open)

    def failing(*arguments: object, **named: object) -> object:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, failing, raising=False)
    assert one.opened() == expected
    assert len(drives.said()) == 1
    Path(f"a.{form}").unlink()
    with pytest.raises(UserError, match="cannot be read: FileNotFoundError"):
        one.opened()
