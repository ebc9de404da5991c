"""Formulas are calculated exactly, and nothing else in them is ever executed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.schemas import RaftRecord
from src.generation.arithmetic import LONGEST, calculate, number_in, sum_questions


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1,602,000 + 29", 1602029),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("(310 - 29) * 2", 562),
        ("310 × 2 ÷ 4 =", 155),
        ("-3 − -5", 2),
        ("1/3 + 1/3 + 1/3", 1),
        (" 7 ", 7),
    ],
)
def test_known_values(formula, value):
    assert calculate(formula) == value


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('echo hi')",
        "open('/etc/passwd').read()",
        "(1).__class__",
        "[1 for _ in range(9)]",
        "9**9**9**9",
        "x + 1",
        "'가' * 3",
        "True + 1",
        "1 if 1 else 2",
        "1e999 + 1",
        "1 << 99999",
        "1; 2",
        "310W + 29W",
        "",
        "((((",
        "1 + " * 20,
        "1" * (LONGEST + 1),
        "1\x00+1",
        "1,5 + 2",
    ],
)
def test_everything_else_is_refused_in_korean_and_not_executed(formula, capfd):
    with pytest.raises(ValueError, match=r"식|숫자"):
        calculate(formula)
    assert capfd.readouterr().out == ""


def test_division_by_zero_is_said():
    with pytest.raises(ValueError, match="0으로 나눌 수 없습니다"):
        calculate("3 / (2 - 2)")


def test_deep_nesting_is_refused_or_calculated():
    assert calculate("(" * 60 + "1" + ")" * 60) == 1
    assert calculate("-" * 80 + "1") == 1


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.sampled_from("+-*"))
def test_equals_python_on_integers(left, right, sign):
    assert calculate(f"{left} {sign} ({right})") == eval(f"{left} {sign} ({right})")


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_a_value_error(text):
    try:
        assert isinstance(calculate(text), Fraction)
    except ValueError as error:
        assert any("가" <= letter <= "힣" for letter in str(error))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("문맥에 따르면 1,602,000원입니다.", 1602000),
        ("310W", 310),
        ("5.7m입니다.", Fraction("5.7")),
        ("-3도", -3),
        ("2016년 8월", 2016),
        ("오류 E24", None),
        ("채봄 제습기 CK-3608", None),
        ("주어진 문맥에서 답을 찾을 수 없습니다.", None),
        ("", None),
    ],
)
def test_the_first_number_of_an_answer(text, number):
    assert number_in(text) == number


def test_the_last_number_is_where_a_sum_in_words_ends():
    assert number_in("310W에 29W를 더하면 339W입니다.", last=True) == 339
    assert number_in("339W입니다.", last=True) == 339 and number_in("모름", last=True) is None


def record(product: str, answer: str, **changed) -> RaftRecord:
    row = {
        "id": f"{product} {answer}",
        "instruction": "답하세요.",
        "context": ["다른 문서", f"{product}의 문서"],
        "question": f"{product}의 값은 얼마인가요?",
        "answer": f"문맥에 따르면 {answer}입니다.",
        "group_id": product,
        "golden_index": 1,
        "answerable": True,
        "n_tokens": 9,
        "seed": 0,
    }
    return RaftRecord(**row | changed)


def test_products_are_added_two_by_two_and_by_unit():
    records = [
        record("다 제품", "1,000원"),
        record("가 제품", "310W"),
        record("가 제품", "2,500원"),
        record("나 제품", "29W"),
        record("나 제품", "5.7m"),
        record("나 제품", "300W"),  # a second question of that unit
        record("라 제품", "500원"),
        record("라 제품", "새벽 갈색"),
        record("마 제품", "7W"),  # left over
    ]
    found = sum_questions(records)
    assert [(q.group_id, q.total) for q in found] == [("가 제품 + 나 제품", 339), ("다 제품 + 라 제품", 1500)]
    both = found[0].record("더하면?", "식만 쓰세요.")
    assert both.context == ["가 제품의 문서", "나 제품의 문서"]
    assert (both.question, both.instruction) == ("더하면?", "식만 쓰세요.")


def test_what_has_no_number_or_no_document_is_not_added():
    records = [
        record("가 제품", "310W", golden_index=None, answerable=False),
        record("나 제품", "2016년 8월"),
        record("다 제품", "310W"),
        record("라 제품", "E24"),
    ]
    assert sum_questions(records) == [] == sum_questions([])
