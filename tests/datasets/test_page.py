"""docs/data.md lists the data sets that there are."""

import re

from sslkit import registry
from sslkit.config.resolve import options
from sslkit.data import TEST
from tests.docs.page import text

PAGE = "docs/data.md"


def test_the_table_lists_the_built_in_data_sets_and_what_can_be_fetched() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| .* \| (yes|no|not needed) \| [^|]+ \|$", text(PAGE), re.MULTILINE)
    code = {}
    for entry in registry.entries("dataset"):
        cls = registry.load("dataset", entry.name)
        name = f"{entry.name}:{cls.argument.upper()}" if cls.argument else entry.name
        code[name] = "download" in options(cls)
    assert {name: fetched == "yes" for name, fetched in rows} == code


def test_suffixes_and_names_of_the_test_part() -> None:
    page = " ".join(text(PAGE).split())
    found = [registry.load("reader", name) for name in ("pillow", "tiff", "heic", "dicom")]
    assert f"Suffixes are `{' '.join((*found[0].suffixes, *found[1].suffixes))}`" in page
    for cls in found[2:]:
        assert f"with `pip install 'sslkit[{cls.extra}]'` also `{' '.join(cls.suffixes)}`" in page
    assert "The test part is " + ", else ".join(f"`{name}`" for name in TEST) in page
