"""One spelling for each text: NFC, nothing invisible, no mojibake; the same for question, document and answer."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from typing import Any

# Full-width ASCII to ASCII. Not NFKC: that also turns ㅋㅋㅋ into conjoining jamo, x² into x2 and ① into 1.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SENTENCE_BREAK = re.compile(r"(?<=[.!?。…])\s+")
_FILLERS = dict.fromkeys(map(ord, "\u115f\u1160\u3164\uffa0"))  # invisible Hangul, "letters" to Unicode


def normalize_text(text: str) -> str:
    """NFC, no invisible or control characters, ASCII for full-width ASCII, single spaces; idempotent.

    Question, context and answer all pass through here, so an answer that stood in its document still does.
    """
    text = text.translate(_FULL_WIDTH).translate(_FILLERS)
    text = re.sub(r"\s+", " ", text)
    if not text.isprintable():  # nearly all are, and have none of these
        text = "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Cc"))
    # Removing a character can bring two spaces, or two parts of one syllable, together.
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", text).strip())


def _hangul(text: str) -> int:
    return sum("가" <= char <= "힣" for char in text)


def repair_mojibake(text: str) -> str | None:
    """``text`` with UTF-8 that was read as Latin-1 or CP1252 mended; None where mojibake is seen but not mended.

    ftfy mends only what it can prove; it worsens CP949 that was read as Latin-1, so its result is taken only
    where Hangul appears. The other two mix-ups of Korean files are recognised by reversing them, and refused:
    part of the bytes is usually gone, so a person should look.
    """
    import ftfy

    if text.isascii():
        return text
    mended = ftfy.fix_encoding(text)
    if mended != text and _hangul(mended) > _hangul(text) and "\ufffd" not in mended:
        return mended
    for wrong, right in (("latin-1", "cp949"), ("cp1252", "cp949"), ("cp949", "utf-8")):
        try:
            original = text.encode(wrong).decode(right)
        except UnicodeError:
            continue
        # Genuine Western text ("Café Müller") reverses too now and then, but not into mostly Hangul.
        if original != text and _hangul(original) >= max(2, len(re.sub(r"[\x00-\x7f]", "", original)) * 0.8):
            return None
    return text


def what_is_odd(text: str) -> str:
    """In a learner's words, why ``text`` may have more tokens than others: seen in the text itself, not in its length."""
    if "\ufffd" in text or repair_mojibake(text) != text:
        return "깨진 글자(모지바케)"
    sentences = split_sentences(text)
    if len(set(sentences)) < len(sentences):
        return "같은 문장이 되풀이됨"
    if normalize_text(text) != re.sub(r"\s+", " ", text).strip():
        return "전각이나 보이지 않는 글자"
    return "이상한 글자나 되풀이는 없음"


def document_key(document: str) -> str:
    """A short name for a document's text: the same for copies that differ in white space or invisible signs."""
    compact = normalize_text(document).replace(" ", "")
    return hashlib.sha256(compact.encode("utf-8", "replace")).hexdigest()[:16]


@lru_cache(maxsize=1 << 14)  # the same sentences are compared with many others
def text_key(text: str) -> str:
    """Letters and digits only, in one case: what is left when spelling habits are taken away."""
    return re.sub(r"[\W_]+", "", normalize_text(text)).casefold()


def character_pairs(text: str) -> Counter[str]:
    """How often each pair of neighbouring characters of ``text_key(text)`` occurs; one character stands alone."""
    compact = text_key(text)
    return Counter(compact[i : i + 2] for i in range(len(compact) - 1)) or Counter([compact])


@cache
def is_punctuation(character: str) -> bool:
    """Whether a character only parts or closes; a percent sign belongs to its number."""
    return character != "%" and unicodedata.category(character).startswith("P")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where each sentence of ``text`` begins and ends, in characters; white space between them belongs to none."""
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
    breaks = [match.span() for match in _SENTENCE_BREAK.finditer(text, begin, end)]
    starts = [begin, *(after for _, after in breaks)]
    ends = [*(before for before, _ in breaks), end]
    return [(start, stop) for start, stop in zip(starts, ends, strict=True) if start < stop]


def split_sentences(text: str) -> list[str]:
    """Sentences of ``text``; joined by one space they give it back (after ``normalize_text``)."""
    return [text[start:end] for start, end in sentence_spans(text)]


def fingerprint(*parts: Any) -> str:
    """SHA-256 of anything JSON can write; keys are sorted, so equal settings give equal fingerprints."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def width(text: str) -> int:
    """Columns ``text`` takes on a terminal: Hangul takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))
