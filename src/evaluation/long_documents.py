"""Documents that are too many for one prompt: piles of them, chunks, map-reduce, and what each way costs.

Map-reduce asks every chunk the same question and brings together what was found (as LangChain's ``map_reduce`` chain
does); what is brought together here are the documents that the answers stand in, because an answer alone no longer
says what it is about.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from src.data.schemas import RaftRecord, golden_document
from src.data.text import split_sentences
from src.generation.call_sheet import answer_tokens
from src.generation.generate import generate_answers
from src.raft.answers import ABSTENTION, is_abstention
from src.raft.evidence import find_evidence, holds_answer
from src.raft.prompt import render_chat, to_messages

Chunk = list[str]  # the documents, or pieces of a text, that one prompt shows
Ask = Callable[[Sequence[RaftRecord]], list[str]]


@dataclass
class Asker:
    """Puts records to a model and keeps account of it: calls, tokens read and written, seconds, prompts without room.

    A prompt that the model has no room for is not asked; its answer is empty. Nothing is cached: a second run would
    take no time.
    """

    model: Any
    tokenizer: Any
    max_new_tokens: int
    options: dict[str, Any] = field(default_factory=dict)  # of ``generate_answers``
    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    no_room: int = 0

    def __call__(self, records: Sequence[RaftRecord]) -> list[str]:
        """One answer a record, in their order."""
        messages = [to_messages(record, with_answer=False) for record in records]
        sizes = [self._size(turns) for turns in messages]
        asked = [turns for turns, size in zip(messages, sizes, strict=True) if size]
        begin = time.perf_counter()
        answers = generate_answers(
            self.model, self.tokenizer, asked, max_new_tokens=self.max_new_tokens, **self.options
        )
        self.seconds += time.perf_counter() - begin
        self.calls += len(asked)
        self.no_room += len(records) - len(asked)
        self.tokens += sum(sizes) + sum(answer_tokens(self.tokenizer, answer) for answer in answers)
        said = iter(answers)
        return [next(said) if size else "" for size in sizes]

    def _size(self, messages: Sequence[dict]) -> int:
        """Tokens of a prompt; 0 where the model has no room for it and its answer."""
        prompt = render_chat(self.tokenizer, messages, add_generation_prompt=True)
        size = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        room = getattr(self.model.config, "max_position_embeddings", None)
        return 0 if room and size + self.max_new_tokens > room else size


def pile(
    record: RaftRecord, documents: Sequence[str], size: int, *, seed: int, with_answer: bool = True
) -> list[str]:
    """``size`` documents about which to ask ``record``'s question, shuffled: its golden one among others of
    ``documents`` that do not hold the answer. Of the same seed a smaller pile is part of a larger one.
    ``with_answer=False``: another in place of the golden one.

    Raises:
        ValueError: a record without its golden document, a size below 1, or too few documents.
    """
    golden = golden_document(record)
    if golden is None:
        raise ValueError(
            f"레코드 {record.id}에는 골든 문서가 없습니다. record.answerable이 참인 것만 넣어 주세요."
        )
    others = [text for text in documents if golden not in text and not holds_answer(text, record.answer)]
    needed = size - with_answer
    if size < 1 or needed > len(others):
        raise ValueError(
            f"문서 {size}개를 쌓을 수 없습니다. 1~{len(others) + with_answer} 사이로 정해 주세요."
        )
    draw = Random(f"{seed} {record.id}")
    draw.shuffle(others)
    chosen = others[:needed] + [golden] * with_answer
    Random(f"{seed} {record.id} {size}").shuffle(chosen)
    return chosen


def split_text(text: str, *, size: int, overlap: int = 0) -> list[str]:
    """``text`` in pieces of at most ``size`` characters that end with a sentence; each begins again with the last
    sentences of the one before, at most ``overlap`` characters of them. A longer sentence is a piece of its own.

    Raises:
        ValueError: a size below 1, or an overlap that is negative or not below the size.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(
            f"조각 길이 {size}자, 겹침 {overlap}자로는 자를 수 없습니다. 겹침은 0 이상이고 조각 길이보다 짧아야 합니다."
        )
    pieces: list[list[str]] = [[]]
    for sentence in split_sentences(text):
        if pieces[-1] and _length([*pieces[-1], sentence]) > size:
            again = list(pieces[-1])
            while again and (_length(again) > overlap or _length([*again, sentence]) > size):
                again = again[1:]
            pieces.append(again)
        pieces[-1].append(sentence)
    return [" ".join(piece) for piece in pieces if piece]


def pack(texts: Sequence[str], count: int) -> list[Chunk]:
    """``texts`` in chunks of at most ``count``, in their order, each text once."""
    if count < 1:
        raise ValueError(f"한 번에 읽을 문서는 1개 이상이어야 합니다(받은 값: {count}).")
    texts = list(dict.fromkeys(texts))
    return [texts[start : start + count] for start in range(0, len(texts), count)]


def whole_in_a_piece(record: RaftRecord, pieces: Sequence[str]) -> bool:
    """Whether one piece holds the first sentence of the golden document, which says what it is about, and every
    sentence of it that holds the answer."""
    document = golden_document(record) or ""
    sentences = split_sentences(document)
    needed = [sentences[place] for place in (0, *find_evidence(document, record.answer))] if sentences else []
    return len(needed) > 1 and any(all(line in piece for line in needed) for piece in pieces)


def map_reduce(
    records: Sequence[RaftRecord], chunks: Sequence[Sequence[Chunk]], ask: Ask, *, count: int
) -> list[str]:
    """An answer for each record, from its own ``chunks``.

    Map: every chunk is asked. Abstentions are left out, and answers that do not stand in their chunk where others do.
    One answer, however often: that is it. Several: the texts that hold them make new chunks of ``count``, which are
    asked again, until one answer is left or the chunks get no fewer; then the most frequent, of equals the first.
    """
    answers = [ABSTENTION] * len(records)
    pending = {place: list(parts) for place, parts in enumerate(chunks)}
    while pending:
        shown = [(place, chunk) for place, parts in pending.items() for chunk in parts]
        said = ask([records[place].model_copy(update={"context": chunk}) for place, chunk in shown])
        found: dict[int, list[tuple[Chunk, str]]] = {place: [] for place in pending}
        for (place, chunk), answer in zip(shown, said, strict=True):
            if answer.strip() and not is_abstention(answer):
                found[place].append((chunk, answer))
        pending = {
            place: again
            for place, parts in pending.items()
            if (again := _reduce(found[place], len(parts), count, answers, place))
        }
    return answers


def _reduce(
    found: list[tuple[Chunk, str]], before: int, count: int, answers: list[str], place: int
) -> list[Chunk]:
    """Chunks to ask again; none where ``answers[place]`` is settled."""
    grounded = [(chunk, answer) for chunk, answer in found if any(holds_answer(t, answer) for t in chunk)]
    found = grounded or found
    said = [answer for _, answer in found]
    answers[place] = max(said, key=said.count) if said else ABSTENTION
    if len(set(said)) < 2:
        return []
    again = pack([text for chunk, answer in found for text in _holders(chunk, answer)], count)
    return again if len(again) < before else []


def _holders(chunk: Chunk, answer: str) -> Chunk:
    return [text for text in chunk if holds_answer(text, answer)] or chunk


def _length(sentences: Sequence[str]) -> int:
    return len(" ".join(sentences))
