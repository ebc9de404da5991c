"""How an answer is worded: the RAFT form, abstentions, reasoning that quotes, and the cores that are looked for."""

import re
from collections.abc import Sequence

from src.data.text import split_sentences

ANSWER_PREFIX = "문맥에 따르면"
ABSTENTION = "주어진 문맥에서 답을 찾을 수 없습니다."
QUOTE_BEGIN, QUOTE_END = "##begin_quote##", "##end_quote##"  # the paper's markers

_SENTENCE_END = re.compile(r"[.!?。…][\"'”’)\]]*$")
_VERB_END = re.compile(
    r"(니다|니까|이다|[가-힣]했다|[가-힣] ?(?:있다|없다|한다|된다)|이에요|예요|[해어아여세지]요|죠)$"
)
_FORM = re.compile(rf"^(?:.*{re.escape(QUOTE_END)})?\s*{ANSWER_PREFIX}[,:]?\s*", re.DOTALL)
_QUOTED = re.compile(rf"{re.escape(QUOTE_BEGIN)}(.*?){re.escape(QUOTE_END)}", re.DOTALL)
_COPULA = re.compile(r"(입니다|이다|이에요|예요)?[\s.!?。…]*$")


def format_answer(answer: str) -> str:
    """``310W`` or ``310W입니다.`` -> ``문맥에 따르면 310W입니다.``; sentences stay as they are."""
    if is_abstention(answer):
        return ABSTENTION
    body = strip_answer_form(answer)
    if not _SENTENCE_END.search(body):
        body += "." if _VERB_END.search(body) else "입니다."
    return f"{ANSWER_PREFIX} {body}"


def final_answer(text: str) -> str:
    """What stands behind the reasoning, which may quote the value and still conclude something else; nothing where a
    quote was never closed and no answer came."""
    after = text.rpartition(QUOTE_END)[2]
    return "" if QUOTE_BEGIN in after else after.strip()


def quotes_in(text: str) -> list[str]:
    """What stands between the paper's markers, in order."""
    return _QUOTED.findall(text)


def strip_answer_form(text: str) -> str:
    """The answer without reasoning and prefix: what is scored against a reference."""
    return _FORM.sub("", text.strip(), count=1).strip()


# How a refusal is worded. It must end its clause ("비밀번호를 모르겠으면 …을 누릅니다" does not) and speak of the
# document or of an answer: "소음이 없습니다" and "보증 기간이 없습니다" are answers.
_DOCUMENT = r"(?<!\S)(?:문맥|문서|지문|본문|자료|설명서|텍스트|컨텍스트)"
_IN_DOCUMENT = rf"{_DOCUMENT}\S*?에(?:는|서는?)?"
_ANSWER = (
    r"(?:관련|해당)?\s?(?:답|답변|정답|해답|정보|내용|근거|언급|설명)(?:[은는이가을를도]|(?:만으|으)?로는)?"
)
_ASKED = r"(?:\S+\s){0,3}\S*[^에서](?:은|는|인지|는지)"  # "보증 기간은 …": the question's topic; not "뒤에는 잔량을 …"
_MANNER = r"(?:(?:저[는도]|제가|잘|아직|현재|정확[히하게]+|명확[히하게]+|구체적으로|따로|별도로|따라서)\s?)*"
_IGNORANT = r"알\s?수[가는도]?\s?없|모르겠|모릅|몰라|모름"
_NOT_FOUND = (
    r"(?:알|찾을|(?:확인|파악|판단|답변?|대답)할|(?:말씀|알려\s?|답변)드릴)\s?수[가는도]?\s?없"
    r"|(?:찾|알|확인하)지[는도]?\s?못[하했합]|(?:확인|답변|파악|판단)[이은]?\s?불가능?합?"
    r"|(?:알|찾|(?:확인|파악|판단|답변?)하|답변드리)기[가는도]?\s?어렵"
)
_UNSTATED = (
    r"(?:나와|나타나|적혀|(?:포함|명시|언급|기재|제시|제공|설명)되어)\s?있지[는도]?\s?않"
    r"|(?:나오|나타나|(?:포함|명시|언급|기재|제시|제공|확인)[되하])지[는도]?\s?않"
)
_REFUSAL = re.compile(
    "(?:"
    rf"^{_MANNER}(?:{_ASKED}\s)?{_MANNER}(?:{_IGNORANT}|(?:명시|언급|기재)되(?:어\s?있)?지[는도]?\s?않)"
    rf"|^{_MANNER}(?:{_NOT_FOUND}|(?:관련|해당)?\s?(?:답|답변|정답|정보)[은는이가]?\s?없)"
    rf"|^아니[요오],?\s{_MANNER}(?:{_UNSTATED})"
    rf"|(?<!\S){_ANSWER}\s?{_MANNER}(?:{_NOT_FOUND}|{_IGNORANT}|{_UNSTATED})"
    rf"|{_DOCUMENT}\S*\s(?:.*\s)?(?:{_NOT_FOUND}|{_IGNORANT}|{_UNSTATED}|{_ANSWER}\s?없)"
    rf"|{_IN_DOCUMENT}\s?없|(?:주어진|제공된|제시된)\s{_IN_DOCUMENT}\s(?!따르면|의하면).*없"
    rf"|(?:관한|대한|관련된?|해당하?는?|그런)\s{_ANSWER}\s?없|(?:답변|대답)\S*\s?(?:드릴|할)\s?수[가는도]?\s?없"
    ")(?:[았었]?습니?다?|니다|[어아]?요|네요|다|음|[은는을] 것 같습니다|는 것으로 보입니다"
    "|는 (?:질문|문제|내용|정보|사항)입니다)?$"  # without an ending: an answer cut at max_new_tokens
)
_CLAUSE_BREAK = re.compile(r"(?<=[.!?。…])\s+|\n|(?<=니다)만[,\s]+|지만[,\s]+")
_COURTESY = re.compile(
    r"(?:문의|연락|확인|참고|참조|제공|질문|알려|말씀|살펴)\D*(?:세요|시오|바랍니다|겠습니다)$|죄송|미안|양해|감사"
)
_ABOUT_DOCUMENT = re.compile(rf"{_DOCUMENT}\S*?[은는]\s")
_VALUE = re.compile(r"\d|(?:입니다|이에요|예요)$")
_AROUND = " *_#\"'.!?…。()[]“”‘’"
_LONGEST_REFUSAL = 120  # characters at the end of a clause; the patterns are slow on endless ones


def is_abstention(text: str) -> bool:
    """Whether ``text`` says that there is no answer, in ``ABSTENTION``'s words or the usual others.

    One that hedges and then answers ("확인할 수 없습니다만 310W입니다") does not; nor one whose answer stands first.
    What the document does say, or whom to ask, is no answer.
    """
    clauses = [" ".join(part.split()).strip(_AROUND) for part in _CLAUSE_BREAK.split(strip_answer_form(text))]
    clauses = [clause[-_LONGEST_REFUSAL:] for clause in clauses if clause]
    refused = [_REFUSAL.search(clause) is not None for clause in clauses]
    if True not in refused:
        return False
    first = refused.index(True)
    # Before a refusal only a value answers, and not one the document is said to give for something else; after it
    # any sentence does ("버튼을 누릅니다"), but for courtesies and what the document is about.
    before = any(_VALUE.search(clause) and not _ABOUT_DOCUMENT.search(clause) for clause in clauses[:first])
    after = any(
        not no
        and not _COURTESY.search(clause)
        and (_VALUE.search(clause) or not _ABOUT_DOCUMENT.search(clause))
        for clause, no in zip(clauses[first:], refused[first:], strict=True)
    )
    return not before and not after


_YES_NO = re.compile(r"\W*(네|예|아니[요오])(?![가-힣])")


def says_yes(text: str) -> bool | None:
    """True for an answer that begins with 네 or 예, False for 아니요, None where it is neither and cannot be read. Of
    several lines the last may say it, after the thinking."""
    for line in (text, *text.strip().splitlines()[-1:]):
        if found := _YES_NO.match(line):
            return found[1] in ("네", "예")
    return None


def answer_cores(answer: str) -> list[str]:
    """The sentences of an answer without form, copula and final punctuation: ``310W입니다.`` -> ``["310W"]``."""
    cores = (_COPULA.sub("", sentence) for sentence in split_sentences(strip_answer_form(answer)))
    return [core for core in cores if core]


def reasoning(quotes: Sequence[str], number: int) -> str | None:
    """Template reasoning that quotes the evidence in document ``number`` word for word (the paper's CoT form).

    None where there is nothing to quote, or where a quote holds the markers themselves and could not be read back.
    """
    if not quotes or any(marker in quote for quote in quotes for marker in (QUOTE_BEGIN, QUOTE_END)):
        return None
    quoted = " ".join(f"{QUOTE_BEGIN}{quote}{QUOTE_END}" for quote in quotes)
    return f"질문의 답은 [문서 {number}]에 있습니다. {quoted}"
