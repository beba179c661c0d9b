"""iNaturalist 2021 with its small training part: 500,000 + 100,000 photographs, 50 + 10 of each of 10,000 species.

Paper: Van Horn et al. 2021, Benchmarking Representation Learning for Natural World Image Collections
"""

from sslkit.datasets.inaturalist import Inaturalist
from sslkit.registry import register


@register("dataset")
class InaturalistMini(Inaturalist):
    """As inaturalist, from 2021_train_mini."""

    needs = ("2021_train_mini", "2021_valid")
    train = "2021_train_mini"
