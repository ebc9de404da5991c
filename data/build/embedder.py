"""Builds ``data/tiny/embedder`` from the shipped corpus: ``python -m data.build.embedder`` (seconds, no network)."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable
from pathlib import Path

from src.profiles import ROOT

RAW = ROOT / "data" / "raw"
TARGET = ROOT / "data" / "tiny" / "embedder"
FORMATS = (".json", ".jsonl", ".csv")

CARD = """---
license: apache-2.0
language: ko
library_name: sentence-transformers
tags: [sentence-transformers, tf-idf, character-n-grams]
---

# 오프라인 임베더: 글자 겹침(문자 n-gram TF-IDF)

**의미가 아니라 글자 겹침을 잽니다.** 두 글이 같은 글자 조각(1–3글자)을 얼마나 나누는지 셀 뿐입니다.
"환불됩니다"와 "환불되지 않습니다"는 뜻이 반대여도 가깝게 나오고, 같은 뜻을 다른 낱말로 쓰면 멀게 나옵니다.
뜻을 재려면 `intfloat/multilingual-e5-small` 같은 다국어 임베더를 쓰세요.

- 만드는 법: 글자 1–3-gram을 {n_features:,}칸에 해싱하고(MurmurHash3, 부호 교대) IDF를 곱해 길이를 1로 맞춥니다.
- 맞춘 글: `data/raw`의 문서와 질문 가운데 서로 다른 {n_texts:,}개
- 학습한 신경망이 아닙니다. 배운 값은 칸마다 하나인 IDF뿐입니다.
- 다시 만들기: `python -m data.build.embedder`
- 확인하기: 이 폴더에서 `sha256sum -c SHA256SUMS`
- 라이선스: Apache-2.0

```python
from src.scoring import load_embedder

embedder = load_embedder("data/tiny/embedder")
embedder.encode(["소비 전력은 얼마인가요?"]).shape  # (1, {n_features})
```

모듈 클래스가 이 저장소의 `src.scoring.char_ngrams.CharNgramTfidf`이므로, `load_embedder`를 거치지 않고
`SentenceTransformer("data/tiny/embedder", trust_remote_code=True)`로 열 때에는 저장소의 맨 위 폴더에서 실행하세요.
"""


def corpus_texts(raw: Path = RAW) -> list[str]:
    """Every distinct document and question of the files below ``raw``, normalized and sorted."""
    from src.data.reading import load_samples
    from src.data.text import normalize_text

    texts: set[str] = set()
    for path in sorted(path for path in raw.iterdir() if path.suffix in FORMATS):
        for row in load_samples(path):
            values = (row.get("context"), row.get("question"))
            texts.update(normalize_text(value) for value in values if isinstance(value, str))
    return sorted(texts - {""})


def build(texts: Iterable[str], target: Path = TARGET, *, n_features: int = 4096) -> Path:
    """Fit on ``texts``, write the model, its card and SHA-256 sums to ``target``; the same bytes every time."""
    from sentence_transformers import SentenceTransformer

    from src.scoring.char_ngrams import CharNgramTfidf

    texts = sorted(set(texts))
    module = CharNgramTfidf(n_features=n_features).fit(texts)
    SentenceTransformer(modules=[module], device="cpu").save(str(target), create_model_card=False)
    (target / "README.md").write_text(
        CARD.format(n_features=n_features, n_texts=len(texts)), encoding="utf-8"
    )
    files = sorted(path for path in target.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    sums = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(target).as_posix()}"
        for path in files
    )
    (target / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="오프라인 임베더를 만듭니다.")
    parser.add_argument("--raw", type=Path, default=RAW, help="원본 자료 폴더")
    parser.add_argument("--target", type=Path, default=TARGET, help="모델을 쓸 폴더")
    arguments = parser.parse_args()
    texts = corpus_texts(arguments.raw)
    if not texts:
        parser.error(
            f"{arguments.raw}에 읽을 글이 없습니다. 먼저 python -m data.build.corpus 를 실행해 주세요."
        )
    target = build(texts, arguments.target)
    print(f"글 {len(texts):,}개로 임베더를 만들어 {target}에 두었습니다.")


if __name__ == "__main__":
    main()
