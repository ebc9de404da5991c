"""The only place where a prompt is written: a record becomes chat messages, for training, evaluation and chat alike."""

from collections.abc import Mapping, Sequence

from src.data.schemas import Conversation, RaftRecord

INSTRUCTION = "주어진 문맥만 근거로 질문에 답하세요. 문맥에 답이 없으면 답을 찾을 수 없다고 말하세요."

# Models that can think aloud (Qwen3, EXAONE 4.0) must do so neither in training nor in evaluation, or the two
# would see different prompts. Templates that do not know the option ignore it.
CHAT_TEMPLATE_OPTIONS = {"enable_thinking": False}


def documents_block(documents: Sequence[str]) -> str:
    """The documents as the user message shows them, one a line, numbered from 1."""
    return "\n".join(f"[문서 {number}] {document}" for number, document in enumerate(documents, start=1))


def to_messages(
    record: RaftRecord | Conversation | Mapping, *, with_answer: bool = True
) -> list[dict[str, str]]:
    """Chat messages of a record: system, user and, unless ``with_answer`` is False, assistant. A conversation's are its
    own, without the last answer where ``with_answer`` is False.

    Without documents the user message is the question alone.
    """
    row = record if isinstance(record, Mapping) else record.model_dump()
    if "messages" in row:
        return list(row["messages"] if with_answer else row["messages"][:-1])
    documents = f"{documents_block(row['context'])}\n" if row["context"] else ""
    user = f"{documents}[질문] {row['question']}"
    messages = [{"role": "system", "content": row["instruction"]}, {"role": "user", "content": user}]
    if with_answer:
        answer = f"{row['cot']}\n{row['answer']}" if row.get("cot") else row["answer"]
        messages.append({"role": "assistant", "content": answer})
    return messages


def render_chat(tokenizer, messages: Sequence[Mapping], *, add_generation_prompt: bool = False) -> str:
    """Messages as the model reads them: the only place that applies a chat template, so that lengths are counted,
    labels made and answers generated with one and the same prompt. The template writes BOS where there is one: do not
    let the tokenizer add special tokens."""
    return tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=add_generation_prompt, **CHAT_TEMPLATE_OPTIONS
    )


def count_tokens(record: RaftRecord | Conversation | Mapping, tokenizer) -> int:
    """Tokens of the whole prompt with its answer, by the tokenizer's chat template where it has one."""
    messages = to_messages(record)
    if getattr(tokenizer, "chat_template", None):
        text = render_chat(tokenizer, messages)
    else:
        text = "\n".join(message["content"] for message in messages)
    return len(tokenizer.encode(text, add_special_tokens=False))


def context_tokens(record: RaftRecord | Mapping, tokenizer) -> int:
    """Tokens that the documents add to the templated prompt: the prompt with them minus the prompt without."""
    row = record if isinstance(record, Mapping) else record.model_dump()
    return count_tokens(row, tokenizer) - count_tokens({**row, "context": []}, tokenizer)
