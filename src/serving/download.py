"""Somebody's adapter by its id on the hub: at one commit, safetensors alone, and only for the base it was trained on."""

import json
import re
from pathlib import Path

from src.hub import HubItem, fetch
from src.profiles import Profile
from src.qlora.loading import loaded_commit
from src.qlora.registry import model_spec


def fetch_adapter(profile: Profile, repo_id: str, *, revision: str) -> Path:
    """The folder of the hub's cache with the adapter ``repo_id`` at the commit ``revision``, for ``load_adapter``.

    What is whole in the cache is not asked for again. No pickle (``adapter_model.bin``) is fetched: reading one can run
    code. On another base an adapter raises no error where the shapes agree, so the base is compared by name and commit.

    Raises:
        ValueError: ``revision`` is no full commit, or the adapter was trained on another base than the profile's.
        HubError: it is missing, private or without safetensors, or the hub cannot be reached; one Korean line.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(
            f"revision에는 커밋 해시 40자를 모두 적어 주세요(지금: {revision}). main 같은 이름은 가리키는 것이 바뀝니다. "
            "해시는 허브의 Files and versions에서 볼 수 있습니다."
        )
    folder = fetch(HubItem("adapter", repo_id, revision))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    trained_on = (config.get("base_model_name_or_path"), config.get("revision"))
    spec = model_spec(profile)
    ours = (spec.source, loaded_commit(spec))
    if any(a != b for a, b in zip(trained_on, ours, strict=True) if a and b):
        names = (" 리비전 ".join(part for part in base if part) for base in (trained_on, ours))
        raise ValueError(
            "이 어댑터는 {} 위에서 학습했는데, 지금 프로파일의 베이스는 {}입니다. "
            "베이스가 같은 프로파일을 쓰거나 다른 어댑터를 골라 주세요.".format(*names)
        )
    return folder
