"""One RAFT record about one product, and the same without its golden document: what several tests vary."""

from __future__ import annotations

from src.data.schemas import RaftRecord
from src.raft.answers import ABSTENTION, format_answer

DOCUMENT = (
    "다온 DH-1 제품 안내입니다. 소비 전력은 310W입니다. 물통 용량은 4.5L입니다. 그늘에서 하루 말립니다."
)
OTHER = "다른 문서입니다. 배송은 이틀 걸립니다."


def record(
    number=1, question="다온 DH-1의 소비 전력은 얼마인가요?", answer="310W", document=DOCUMENT, **changes
):
    fields = {
        "id": f"r{number}",
        "instruction": "지시",
        "context": [OTHER, document],
        "question": question,
        "answer": format_answer(answer),
        "group_id": "다온 DH-1",
        "golden_index": 1,
        "answerable": True,
        "n_tokens": 100,
        "seed": 0,
    }
    return RaftRecord(**(fields | changes))


def left_out(number, **changes):
    return record(number, **({"answer": ABSTENTION, "golden_index": None, "answerable": False} | changes))
