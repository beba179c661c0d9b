"""The code of docs/sklearn.md runs from top to bottom, with fewer steps; its table has every parameter."""

import re
import warnings
from typing import Any

import pytest

from sslkit.sklearn import SSLClassifier
from tests.sklearn.test_checks import EXPECTED

from .page import blocks, text

PAGE = "docs/sklearn.md"


@pytest.mark.usefixtures("here")
def test_its_code_runs_from_top_to_bottom() -> None:
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for code in blocks(PAGE, "python"):
            exec(compile(code.replace('.steps": 80', '.steps": 2'), PAGE, "exec"), names)
    assert len(names["grid"].cv_results_["params"]) == 2
    assert names["classifier"].network_.spec.data["labeled"][0] == 100


def test_its_table_has_every_parameter_with_its_default() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| `([^`]+)` \|", text(PAGE), re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {name: repr(value) for name, value in SSLClassifier().get_params().items()}


def test_it_says_how_many_checks_are_expected_to_fail() -> None:
    assert f"(`check_estimator`) {({2: 'two'})[len(EXPECTED)]} fail" in text(PAGE).replace("\n", " ")
