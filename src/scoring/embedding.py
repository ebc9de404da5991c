"""Sentence vectors: the profile's embedder, loaded and named for what it measures."""

import json
from pathlib import Path
from typing import Any

from src.hub.fetching import fetch
from src.profiles import ROOT, Profile
from src.qlora.registry import embedder_item

OVERLAP_LABEL = "글자 겹침(문자 n-gram TF-IDF) — 의미가 아닙니다"


def load_embedder(profile: Profile | str) -> Any:
    """The profile's embedder, a ``SentenceTransformer`` ready for ``.encode(texts)``.

    ``profile.embedder`` (or a name given directly) is a path below the checkout where that exists, else a hub id.
    E5 models were trained with "query: " before every text (arXiv 2212.03533 §4); both sides of a symmetric
    comparison take it, so it is the default prompt.

    Raises:
        OSError: neither a folder of this checkout, nor in the cache, nor to be had from the hub (``HubError``).
    """
    name = profile if isinstance(profile, str) else profile.embedder
    folder, item = ROOT / name, embedder_item(profile)
    if item is not None:
        folder = fetch(item)  # before the import, which takes longer than to say that there is no hub
    elif not (folder / "modules.json").is_file():
        raise OSError(f"{name} 폴더에 임베더가 없습니다. python -m data.build.embedder 로 만들 수 있습니다.")
    from sentence_transformers import SentenceTransformer

    if item is None:
        # sentence-transformers asks for trust_remote_code before it imports a class that is not its own, even from
        # a local folder. The flag is given only where the folder names nothing but this checkout's module.
        ours = _only_our_modules(folder)
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=ours)
    embedder = SentenceTransformer(str(folder), local_files_only=True, prompts=_prompts(name))
    if _prompts(name):
        embedder.default_prompt_name = "query"  # here, because the constructor warns about it
    return embedder


def embedder_label(profile: Profile | str) -> str:
    """What this embedder measures, in a learner's words; stands beside every number made with it."""
    name = profile if isinstance(profile, str) else profile.embedder
    folder = ROOT / name
    built = (folder / "modules.json").is_file() and _only_our_modules(folder)
    # The offline embedder may be named before it was built.
    return OVERLAP_LABEL if built or name == "data/tiny/embedder" else f"문장 의미 유사도({name})"


def _only_our_modules(folder: Path) -> bool:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    return all(module["type"] == "src.scoring.char_ngrams.CharNgramTfidf" for module in modules)


def _prompts(name: str) -> dict[str, str] | None:
    if "e5-" in name.lower().rsplit("/", 1)[-1] and "instruct" not in name.lower():
        return {"query": "query: ", "passage": "passage: "}
    return None
