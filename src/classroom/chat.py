"""Ask base and tuned model the same question, side by side, and see the documents that both of them read.

python -m src.classroom.chat [--adapter FOLDER] [--documents FILE] [--port 7860]

The page (Gradio, not installed by default) is served to this machine only: no share link, no telemetry, no network.
"""

import argparse
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from src.data.text import normalize_text
from src.evaluation.retrieval import BM25Retriever, Retriever
from src.generation.generate import generate_base_and_tuned
from src.profiles import Profile, active_profile
from src.quality.personal_data import mask_personal_data
from src.raft.prompt import INSTRUCTION, context_tokens, to_messages

LONGEST = 500  # characters of a question; the longest in the corpus have fewer than 100
NARROW = 320  # pixels; what is narrower stands below, not beside
WHOLE_WORDS = "textarea, .prose { word-break: keep-all; overflow-wrap: anywhere }"  # Korean breaks at spaces
INSTALL = 'pip install "gradio>=6.30,<7"'


class Reply(NamedTuple):
    """What the page shows: the documents with their scores, both answers, and a note where something was changed or
    could not be done (answers are then empty)."""

    documents: list[tuple[str, float]]
    base: str
    tuned: str
    note: str


class Chat:
    """One model with its adapter, one retriever; ``ask`` is safe to call from several threads."""

    def __init__(self, model: Any, tokenizer: Any, profile: Profile, retriever: Retriever) -> None:
        self.model, self.tokenizer, self.profile, self.retriever = model, tokenizer, profile, retriever
        # What the tokenizer takes for control marks, longest first. A tag typed by a guest must not end the turn.
        marks = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
        self._marks = sorted((mark for mark in marks if mark.strip()), key=len, reverse=True)
        self._lock = threading.Lock()  # the adapter is switched off and on: one question at a time

    def ask(self, question: str, k: int = 3) -> Reply:
        """Both models' answers to ``question`` with the ``k`` best documents in the same prompt.

        Empty and too long questions get a note instead of answers, never an error. Control marks of the chat
        template are taken apart in question and documents, so that they are read as text.
        """
        # A lone surrogate, which a browser can send, is no text for a tokenizer.
        question = normalize_text((question or "").encode("utf-8", "replace").decode())
        if not question:
            return Reply([], "", "", "질문을 적어 주세요.")
        if len(question) > LONGEST:
            note = f"질문이 {len(question):,}자로 너무 깁니다. {LONGEST:,}자 이하로 줄여 주세요."
            return Reply([], "", "", note)
        documents = self.retriever.retrieve(question, k)
        row = {"instruction": INSTRUCTION, "question": self._harmless(question), "answer": ""}
        row["context"] = [self._harmless(document) for document, _ in documents]
        note = "" if row["question"] == question else "질문에 든 제어 표시는 글자로 바꾸어 물었습니다."
        while row["context"] and context_tokens(row, self.tokenizer) > self.profile.max_context_tokens:
            row["context"].pop()
        shown = documents[: len(row["context"])]
        if dropped := len(documents) - len(shown):
            note = f"{note} 길이 한도 때문에 문서 {dropped}개를 뺐습니다.".strip()
        messages, limit = [to_messages(row, with_answer=False)], self.profile.max_new_tokens
        asked = self.model, self.tokenizer, messages
        try:
            with self._lock:
                base, tuned = generate_base_and_tuned(*asked, max_new_tokens=limit)
        except ValueError as error:  # longer than the model has room for; the message says so in Korean
            return Reply(shown, "", "", str(error))
        return Reply(shown, base[0], tuned[0], note)

    def _harmless(self, text: str) -> str:
        for mark in self._marks:
            text = text.replace(mark, " ".join(mark))
        return text


def load_chat(profile: Profile, *, adapter: str | Path | None = None, documents: Sequence[str] = ()) -> Chat:
    """The profile's base with ``adapter`` (default: notebook 03's, trained now where it is missing), searching
    ``documents`` (default: those of the test questions, which training has not seen)."""
    from src import pipeline
    from src.evaluation.retrieval import held_out_documents
    from src.qlora.adapters import load_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model, load_tokenizer

    if adapter:
        base = load_base_model(profile, quantization_config=build_bnb_config(profile))
        model = load_adapter(base, adapter)
    else:
        model = pipeline.load_tuned_model(profile)
    texts = list(documents) or held_out_documents(pipeline.load_clean_records(profile)["test"])
    texts = [mask_personal_data(text) for text in texts]  # an own file has not been through notebook 02
    return Chat(model, load_tokenizer(profile), profile, BM25Retriever(texts))


def build_page(chat: Chat) -> Any:
    """The page as a ``gradio.Blocks``. Every text goes into a text box, which shows HTML and never runs it.

    Raises:
        ImportError: Gradio is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import gradio as gr

    def show(question: str, k: float) -> tuple[str, str, str, str]:
        reply = chat.ask(question, int(k))
        found = [f"(점수 {score:.2f}) {text}" for text, score in reply.documents]
        found = "\n\n".join(f"[문서 {n}] {told}" for n, told in enumerate(found, 1))
        return reply.base, reply.tuned, found, reply.note

    with gr.Blocks(analytics_enabled=False, title="베이스와 튜닝, 나란히") as page:
        gr.Markdown("## 베이스 모델과 튜닝한 모델에 같은 것을 물어 보세요")
        gr.Markdown("같은 프롬프트, 같은 문서입니다. 답은 틀릴 수 있으니 문서와 대조하세요.")
        with gr.Row():
            hint = "문서에서 찾을 수 있는 것을 물어 보세요"
            question = gr.Textbox(label="질문", placeholder=hint, max_lines=4, scale=4, min_width=NARROW)
            k = gr.Slider(1, 5, value=3, step=1, label="문서 수", scale=1)
        ask = gr.Button("묻기", variant="primary")
        note = gr.Textbox(label="알림", placeholder="없음", interactive=False)
        with gr.Row():
            base = gr.Textbox(label="베이스 모델", lines=4, interactive=False, min_width=NARROW)
            tuned = gr.Textbox(label="튜닝한 모델", lines=4, interactive=False, min_width=NARROW)
        found = gr.Textbox(label="찾은 문서", lines=8, interactive=False)
        outputs = [base, tuned, found, note]
        for event in (ask.click, question.submit):
            event(show, [question, k], outputs, concurrency_limit=1, api_visibility="private")
    return page


def serve(chat: Chat, *, port: int | None = None) -> None:
    """Open the page on this machine only, until it is stopped with Ctrl+C."""
    page = build_page(chat)
    import gradio as gr

    # None is fetched.
    fonts = ["Pretendard", "Noto Sans KR", "Malgun Gothic", "Apple SD Gothic Neo", "sans-serif"]
    # The page's check of its own address must not go through a proxy.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))
    _, address, _ = page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
        css=WHOLE_WORDS,
        ssr_mode=False,
        footer_links=[],
        enable_monitoring=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    told = f"브라우저에서 {address} 를 여세요. 이 컴퓨터에서만 열립니다. 끝내려면 Ctrl+C를 누르세요."
    print(told, flush=True)
    page.block_thread()


def main(arguments: Sequence[str] | None = None) -> int | str:
    """0, or what went wrong, for ``SystemExit`` to print."""
    prog = "python -m src.classroom.chat"
    parser = argparse.ArgumentParser(prog=prog, description="베이스 모델과 튜닝한 모델에 나란히 물어봅니다.")
    parser.add_argument("--adapter", type=Path, help="어댑터 폴더. 정하지 않으면 노트북 03의 것")
    parser.add_argument("--documents", type=Path, help="문서를 찾을 파일. 정하지 않으면 시험 질문의 문서")
    parser.add_argument("--port", type=int, help="포트. 정하지 않으면 7860부터 빈 것")
    args = parser.parse_args(arguments)
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        told = f"대화 페이지에는 gradio가 필요합니다({error}). 용량이 커서 기본 설치에는 들어 있지 않습니다.\n  {INSTALL}\n"
        return f"{told}로 설치하고 다시 실행해 주세요. 네트워크가 없다면 노트북 05의 대화 셀에서 같은 것을 할 수 있습니다."
    if args.adapter and not (args.adapter / "adapter_config.json").is_file():
        return f"{args.adapter}에 어댑터(adapter_config.json)가 없습니다. 폴더를 확인해 주세요."
    documents: list[str] = []
    if args.documents:
        from src.data.reading import load_samples
        from src.data.validation import validate_samples

        try:
            documents = [sample.context for sample in validate_samples(load_samples(args.documents))[0]]
        except (OSError, ValueError) as error:
            return str(error)
        if not documents:
            return f"{args.documents.name}에서 문서를 찾지 못했습니다. 노트북 05의 1장을 봐 주세요."
    serve(load_chat(active_profile(), adapter=args.adapter, documents=documents), port=args.port)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
