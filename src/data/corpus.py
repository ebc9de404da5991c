"""The rows that a profile works with: its files, and what it draws from a hub dataset."""

from typing import Any

from src.data.reading import iter_samples, load_samples
from src.data.schemas import RawSample, Reject
from src.data.splitting import draw_groups
from src.data.validation import validate_samples
from src.profiles import ROOT, Profile


def read_corpus(profile: Profile) -> tuple[list[RawSample], list[Reject]]:
    """Every row of the profile's files and of its hub dataset: accepted, or refused with a reason."""
    rows = [row for file in profile.data_files for row in load_samples(ROOT / file)]
    return validate_samples(rows + read_hub_rows(profile), max_context_length=profile.max_context_length)


def read_hub_rows(profile: Profile) -> list[dict[str, Any]]:
    """The rows that the profile draws from its hub dataset, by whole articles; none where it names no dataset.
    Where they have no topic, the dataset's name is it.

    Raises:
        ConnectionError: the dataset cannot be reached.
    """
    data = profile.hub_data
    if data is None:
        return []
    rows = iter_samples(data.dataset, split=data.split, revision=data.revision)
    drawn = draw_groups(rows, count=data.rows, seed=profile.seed)
    return [{"topic": data.dataset, **row} for row in drawn]
