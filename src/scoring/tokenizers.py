"""What every score checks and how it splits Korean text.

rouge_score's own tokenizer keeps only ``[a-z0-9]``: it gives 0 to two identical Korean sentences. Here one morpheme
tokenizer, mecab-ko as sacrebleu ships it, serves ROUGE and BLEU, and splits each distinct text once.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Texts = Sequence[str]  # answers or references, one a question
Scores = dict[str, Any]  # score by name; under "per_sample", where asked for, each question's values

_UNSAFE = re.compile(r"[\x00-\x1f\ud800-\udfff]")  # mecab-ko stops at NUL and refuses lone surrogates
_ENDLESS = re.compile(r"(\S{1000})(?=\S)")  # mecab-ko's time grows with its square: two minutes for 1 MB


def check_lengths(lists: Mapping[str, Sequence[Any]]) -> None:
    """Lists, by their Korean names, must pair up item by item: TypeError for a single string, ValueError for lists
    that differ in length or are empty."""
    if any(isinstance(items, str) for items in lists.values()):
        raise TypeError(f"{', '.join(lists)}: 문자열 하나가 아니라 목록으로 넣어 주세요. 예: [답], [정답]")
    counts = ", ".join(f"{name} {len(items):,}개" for name, items in lists.items())
    if len({len(items) for items in lists.values()}) > 1:
        raise ValueError(
            f"짝지을 목록의 수가 다릅니다({counts}). 같은 질문을 같은 순서로 담은 목록을 넣어 주세요."
        )
    if not all(map(len, lists.values())):
        raise ValueError(f"견줄 질문이 없습니다({counts}). 질문을 하나 이상 넣어 주세요.")


def check_texts(side: str, texts: Sequence[Any], first: int = 0) -> None:
    """ValueError that says which of ``texts`` (of question ``first`` and those after it) is no text."""
    for question, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise ValueError(
                f"{question}번 질문(0부터 셉니다)의 {side}이 글이 아니라 {type(text).__name__}입니다. 글로 바꾸거나, "
                '빈 답이면 ""을 넣어 주세요.'
            )


def check_pairs(predictions: Texts, references: Texts) -> None:
    """``check_lengths``, and ``check_texts`` of both sides."""
    check_lengths({"답": predictions, "정답": references})
    check_texts("답", predictions)
    check_texts("정답", references)


def clean(text: str) -> str:
    """NFC, control characters and lone surrogates to spaces, a space after 1,000 characters without one: what every
    tokenizer here gets."""
    return _ENDLESS.sub(r"\1 ", _UNSAFE.sub(" ", unicodedata.normalize("NFC", text))).strip()


@lru_cache(maxsize=8)
def _sacrebleu(tokenize: str = "ko-mecab", max_ngram_order: int = 4) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenize, max_ngram_order=max_ngram_order)


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "mecab": lambda text: _sacrebleu().tokenizer(clean(text)).split(),  # cached there: BLEU finds these again
    "eojeol": lambda text: clean(text).split(),  # words between white space
    "char": lambda text: [character for character in clean(text) if not character.isspace()],
}
