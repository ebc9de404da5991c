"""Arithmetic that is executed instead of worded (program-aided, arXiv 2211.10435), in a sandbox.

A formula may come from a model, and so from whoever wrote the documents that it read: it is never given to ``eval``.
It is parsed, and of Python's grammar only numbers and the four operations are walked through; there are no names,
calls or attributes to reach anything with.
"""

import ast
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from src.data.schemas import RaftRecord
from src.raft.answers import answer_cores

LONGEST = 200  # characters of a formula
_OPERATIONS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?<![A-Za-z\d.])(?<![A-Za-z][-−])[-−]?\d+(?:\.\d+)?")
_LARGEST = 1e30  # beyond what a document says; a number like 1e9999 is no formula's, but an attempt


def calculate(formula: str) -> Fraction:
    """The exact value of a formula of numbers, ``+ - * /`` and brackets; "1,000" is a number, "×", "÷" and "−" are
    operations, and one "=" at the end is passed over.

    Raises:
        ValueError: anything else is in it, it is too long, or divides by zero; nothing of it was executed.
    """
    text = _THOUSANDS.sub("", formula.strip().removesuffix("=").strip())
    text = text.translate(str.maketrans("×÷−", "*/-"))
    if not text or len(text) > LONGEST:
        raise ValueError(f"식은 비어 있지 않고 {LONGEST}자보다 길지 않아야 합니다.")
    try:
        parsed = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"식으로 읽을 수 없습니다: {formula}") from error
    try:
        return _value(parsed.body)
    except ZeroDivisionError as error:
        raise ValueError("0으로 나눌 수 없습니다. 식의 나누는 수를 확인해 주세요.") from error


def _value(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if type(number) is not bool and number < _LARGEST:
            return Fraction(str(number))  # as it is written: 0.1 is a tenth
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(operand))
    raise ValueError(
        f"숫자와 사칙연산, 괄호만 계산합니다. 쓸 수 없는 것이 있습니다: {ast.unparse(node)[:40]}"
    )


def number_in(text: str, *, last: bool = False) -> Fraction | None:
    """The first number in an answer ("문맥에 따르면 1,602,000원입니다." -> 1602000), or the ``last``, which is where a sum
    that was worked out in words ends; None without one. What hangs on a letter ("E24", "CK-3608") is a name."""
    found = _NUMBER.findall(_THOUSANDS.sub("", text))
    return Fraction(found[-1 if last else 0].replace("−", "-")) if found else None


_MEASURE = re.compile(r"[\d,.]+([A-Za-z가-힣]+)")


@dataclass(frozen=True)
class SumQuestion:
    """Two questions about the same measure of two products, whose answers are to be added up."""

    first: RaftRecord
    second: RaftRecord
    total: Fraction

    @property
    def group_id(self) -> str:
        """The two products: no other question is about either of them."""
        return f"{self.first.group_id} + {self.second.group_id}"

    def record(self, question: str, instruction: str) -> RaftRecord:
        """``question`` over the golden documents of both."""
        documents = [side.context[side.golden_index] for side in (self.first, self.second)]
        changed = {"context": documents, "question": question, "instruction": instruction, "cot": None}
        return self.first.model_copy(update=changed)


def sum_questions(records: Sequence[RaftRecord]) -> list[SumQuestion]:
    """Products (``group_id``) two by two, in the order of their names, and for each unit that both have a question of:
    its values, such as "310W" and "290W", added up. The last of an odd number of products is left out."""
    measures: dict[str, dict[str, tuple[RaftRecord, Fraction]]] = {}
    for record in records:
        cores = answer_cores(record.answer) if record.golden_index is not None else []
        if len(cores) == 1 and (found := _MEASURE.fullmatch(cores[0])):
            of_product = measures.setdefault(record.group_id, {})
            of_product.setdefault(found[1], (record, number_in(cores[0])))
    names = sorted(measures)
    return [
        SumQuestion(
            measures[left][unit][0],
            measures[right][unit][0],
            measures[left][unit][1] + measures[right][unit][1],
        )
        for left, right in zip(names[::2], names[1::2], strict=False)
        for unit in sorted(measures[left].keys() & measures[right].keys())
    ]
