"""Rebuild ``data/raw``: ``python -m data.build.corpus``.

The support knowledge base of a fictional appliance maker, in the three forms people are really handed, with
planted defects. What was planted where goes to ``tests/corpus_manifest.json``, which only tests read.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from data.build import language

ROOT = Path(__file__).resolve().parents[2]
RAW = ROOT / "data" / "raw"
MANIFEST = ROOT / "tests" / "corpus_manifest.json"
NUM_PRODUCTS = 235
# How likely a product has a document of each kind, and which file its team hands over.
KIND_SHARE = {
    language.SHEET: (1.0, "json"),
    language.PROCEDURE: (0.75, "json"),
    language.WARRANTY: (0.6, "jsonl"),
    language.ERROR: (0.4, "jsonl"),
    language.NOTICE: (0.3, "csv"),
    language.INSTALL: (0.2, "csv"),
}
NAMES = {
    "json": {"question": "q", "context": "doc", "answer": "a"},
    "jsonl": {"question": "question", "context": "context", "answer": "answer"},
    "csv": {"question": "질문", "context": "본문", "answer": "답변"},
}
# Defects a kind: how many rows each. Together about 6 % of the corpus.
DEFECTS = {
    "missing_field": 14,
    "wrong_type": 14,
    "empty": 16,
    "too_short": 14,
    "too_long": 12,
    "mojibake": 16,
    "zero_width": 18,
    "full_width": 18,
    "exact_duplicate": 24,
    "near_duplicate": 24,
    "ungrounded": 20,
    "wrong_answer": 20,
    "personal_data": 20,
}

Row = dict[str, Any]  # id, product, topic, question, context, answer, file


def make_rows(rng: Random) -> list[Row]:
    """Clean rows: every fact of every document, asked in one to three ways."""
    products: dict[str, str] = {}  # one a name: questions often leave the model code out
    while len(products) < NUM_PRODUCTS:
        product = language.product_name(rng, corpus=True)
        products.setdefault(language.short_name(product), product)
    rows: list[Row] = []
    for product in sorted(products.values()):
        for kind, (share, file) in KIND_SHARE.items():
            if rng.random() >= share:
                continue
            document = language.make_document(rng, product, kind, rng.randint(3, 4))
            for fact in document.facts:
                wordings = fact.attribute.questions
                for wording in rng.sample(
                    wordings, rng.choices((1, 2, min(3, len(wordings))), (0.6, 0.3, 0.1))[0]
                ):
                    rows.append(
                        {
                            "product": product,
                            "topic": kind.topic,
                            "question": language.put(rng, wording, language.call(rng, product)),
                            "context": document.text,
                            "answer": fact.answer,
                            "file": file,
                        }
                    )
    return rows


def _mojibake(text: str, rng: Random) -> str:
    """UTF-8 read as Latin-1 (can be repaired), or bytes lost on the way (cannot)."""
    if rng.random() < 0.5:
        return text.encode("utf-8").decode("latin-1")
    middle = len(text) // 2
    return text[: middle - 2] + "\ufffd" * 3 + text[middle + 1 :]


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c.isalnum() else c for c in text)


def _paraphrase(question: str, rng: Random) -> str:
    """The same wording with the small changes of a hasty copy."""
    start = rng.choice(("혹시 ", "저기, ", "안녕하세요. "))
    return start + question.replace("알려 주세요", "알려주세요").replace("인가요?", "인가요")


def _personal_data(rng: Random) -> str:
    name = rng.choice("김이박최정") + rng.choice(("하늘", "바다", "가람", "소라"))
    return rng.choice(
        (
            f"{name} 고객(010-0000-{rng.randint(1000, 9999)})의 문의입니다.",
            f"{name} 고객이 user{rng.randint(100, 999)}@example.com으로 보내셨습니다.",
            f"{name} 고객의 주민등록번호는 {rng.randint(70, 99)}0{rng.randint(1, 9)}1{rng.randint(0, 9)}-1{rng.randint(100000, 999999)}입니다.",
        )
    )


def _other_answers(row: Row, rows: list[Row], same_document: bool) -> list[str]:
    """Answers to other questions of the same document, or of the same topic that the document does not hold."""
    if same_document:
        return [o["answer"] for o in rows if o["context"] == row["context"] and o["answer"] != row["answer"]]
    return [
        o["answer"]
        for o in rows
        if o["topic"] == row["topic"] and o["answer"].removesuffix("입니다.") not in row["context"]
    ]


def plant(rows: list[Row], rng: Random) -> None:
    """Damage rows in place (or add damaged copies), and mark each with ``defect`` = (kind, field)."""
    clean = rng.sample(rows, len(rows))

    def take(condition=lambda row: True) -> Row:
        index = next(i for i in range(len(clean) - 1, -1, -1) if condition(clean[i]))
        return clean.pop(index)

    def text_file(row: Row) -> bool:  # CP949 cannot hold what these defects need
        return row["file"] != "csv"

    for defect, count in DEFECTS.items():
        for _ in range(count):
            field = rng.choice(("question", "context", "answer"))
            if defect == "missing_field":
                row = take(text_file)
                del row[field]
            elif defect == "wrong_type":
                row = take(text_file)
                row[field] = rng.choice((310, None, [row[field]], {"text": row[field]}, True))
            elif defect == "empty":
                row = take()
                row[field] = rng.choice(("", "   "))
            elif defect == "too_short":
                row, field = take(), "question"
                row[field] = rng.choice(("무게?", "값은?", "왜?", "용량"))
            elif defect == "too_long":
                row, field = take(), "context"
                row[field] = " ".join([row[field]] * (2100 // len(row[field]) + 1))
            elif defect == "mojibake":
                row = take(text_file)
                row[field] = _mojibake(row[field], rng)
            elif defect == "zero_width":
                row = take(text_file)
                cut = rng.randint(1, len(row[field]) - 1)
                row[field] = row[field][:cut] + rng.choice("\u200b\ufeff\u2060") + row[field][cut:]
            elif defect == "full_width":
                row, field = take(lambda row: any(c.isdigit() for c in row["answer"])), "answer"
                row[field] = _full_width(row[field])
            elif defect in ("exact_duplicate", "near_duplicate"):
                row, field = dict(take()), "question"
                if defect == "near_duplicate":
                    row[field] = _paraphrase(row[field], rng)
                rows.append(row)
            elif defect in ("ungrounded", "wrong_answer"):
                row, field = (
                    take(lambda row, same=defect == "wrong_answer": _other_answers(row, clean, same)),
                    "answer",
                )
                row[field] = rng.choice(_other_answers(row, clean, defect == "wrong_answer"))
            else:
                row, field = take(), "context"
                row[field] = f"{row[field]} {_personal_data(rng)}"
            row["defect"] = (defect, field)


def write(rows: list[Row]) -> list[dict[str, str]]:
    """Write the three files; number the rows, and return the manifest."""
    manifest = []
    for file in NAMES:
        part = [row for row in rows if row["file"] == file]
        table = []
        for number, row in enumerate(part, start=1):
            row_id = f"{file}-{number:04d}"
            if "defect" in row:
                defect, field = row["defect"]
                manifest.append(
                    {"file": f"support_qa.{file}", "id": row_id, "defect": defect, "field": field}
                )
            values = {NAMES[file][key]: row[key] for key in NAMES[file] if key in row}
            head = ("번호", "제품", "분류") if file == "csv" else ("id", "product", "topic")
            table.append({head[0]: row_id, head[1]: row["product"], head[2]: row["topic"], **values})
        path = RAW / f"support_qa.{file}"
        if file == "json":
            path.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        elif file == "jsonl":
            path.write_text(
                "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table), encoding="utf-8"
            )
        else:
            buffer = io.StringIO()
            writer = csv.DictWriter(
                buffer, fieldnames=["번호", "제품", "분류", *NAMES["csv"].values()], lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(table)
            path.write_bytes(buffer.getvalue().encode("cp949"))
    return manifest


def main(seed: int = 7) -> None:
    rng = Random(seed)
    rows = make_rows(rng)
    documents = {row["context"] for row in rows}
    plant(rows, rng)
    rng.shuffle(rows)
    RAW.mkdir(parents=True, exist_ok=True)
    manifest = write(rows)
    MANIFEST.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    topics = Counter(row["topic"] for row in rows)
    print(
        f"{len(documents)} documents, {len(rows)} rows, {len(manifest)} defects ({len(manifest) / len(rows):.1%})"
    )
    print(dict(topics))


if __name__ == "__main__":
    main()
