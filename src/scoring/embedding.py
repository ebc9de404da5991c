"""Sentence vectors: the profile's embedder, loaded and named for what it measures."""

import json
from pathlib import Path
from typing import Any

from src.profiles import ROOT, Profile

OVERLAP_LABEL = "글자 겹침(문자 n-gram TF-IDF) — 의미가 아닙니다"


def load_embedder(profile: Profile | str) -> Any:
    """The profile's embedder, a ``SentenceTransformer`` ready for ``.encode(texts)``.

    ``profile.embedder`` (or a name given directly) is a path below the checkout where that exists, else a hub id.
    E5 models were trained with "query: " before every text (arXiv 2212.03533 §4); both sides of a symmetric
    comparison take it, so it is the default prompt.

    Raises:
        OSError: neither a folder of this checkout nor reachable on the hub.
    """
    from sentence_transformers import SentenceTransformer

    name = profile if isinstance(profile, str) else profile.embedder
    folder = ROOT / name
    if (folder / "modules.json").is_file():
        # sentence-transformers asks for trust_remote_code before it imports a class that is not its own, even from
        # a local folder. The flag is given only where the folder names nothing but this checkout's module.
        ours = _only_our_modules(folder)
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=ours)
    try:
        revision = None if isinstance(profile, str) else profile.embedder_revision
        return SentenceTransformer(name, revision=revision, **_prompt_options(name))
    except OSError as error:
        raise OSError(
            f"임베더 '{name}'을(를) 열 수 없습니다. 이름과 인터넷 연결을 확인하시거나, 오프라인이면 "
            "embedder를 'data/tiny/embedder'로 바꿔 주세요. (없으면 python -m data.build.embedder 로 만듭니다.)"
        ) from error


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


def _prompt_options(name: str) -> dict[str, Any]:
    if "e5-" in name.lower().rsplit("/", 1)[-1] and "instruct" not in name.lower():
        return {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
    return {}
