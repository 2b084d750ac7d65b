"""The published ablation is of the recipe that is shipped."""

from __future__ import annotations

from benchmarks.studies.recipe_ablation import SHIPPED, RecipeAblationStudy
from train.recipes import FIELD


def test_published_recipe_is_the_shipped_one_and_the_others_differ_in_one_point() -> None:
    study = RecipeAblationStudy.read(RecipeAblationStudy.published().with_suffix(".json"))
    settings = {result.variant: result.settings for result in study.results}
    assert settings[SHIPPED]["epochs"] == FIELD.epochs
    assert settings[SHIPPED]["frozen_share"] == FIELD.frozen_share
    for name, values in settings.items():
        # Passes of the head alone follow from the number of photos.
        different = [key for key in settings[SHIPPED] if values[key] != settings[SHIPPED][key]]
        assert len(different) == {SHIPPED: 0, "with perspective and blur": 2}.get(name, 1), name
