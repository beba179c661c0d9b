"""Every test stands in a folder of its own; the run that all tests of finished runs share is here, too."""

from tests.cli.conftest import finished, narrow, untimed
from tests.datasets.conftest import here

__all__ = ["finished", "here", "narrow", "untimed"]
