"""A random two-layer Llama with its own tokenizer: everything but the knowledge of a real model, in a second."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest
from hypothesis import settings
from local_hub import serve_hub
from stand_ins import build_hub

from src.profiles import PROFILES
from src.qlora.registry import MODELS

# A busy machine is slow, not wrong; the same examples every time, so that a red run can be repeated.
settings.register_profile("workshop", deadline=None, derandomize=True)
settings.load_profile("workshop")


def pytest_collection_modifyitems(items):
    """The long ones first, so that two workers end together."""
    first = ["test_notebooks.py", "test_rehearsal.py"]
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))


# What may be left out where everything runs (CI=true), and why; anything else that is skipped there is a failure.
MAY_BE_SKIPPED = {
    r"no hub here": "관리자 권한과 프록시, 다른 계정이 열 수 있는 파이썬이 있어야 합니다(docs/serving.md)",
    r"AVX512-BF16": "그 명령이 없는 CPU에는 그 결함도 없습니다",
    r"운영 체제": "이 운영 체제에 없는 신호를 씁니다",
}


def _skipped(config: pytest.Config) -> list[tuple[str, str]]:
    """(test, reason) of everything that was skipped."""
    reports = config.pluginmanager.get_plugin("terminalreporter").stats.get("skipped", [])
    return sorted({(report.nodeid, str(report.longrepr[2]).removeprefix("Skipped: ")) for report in reports})


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a test that did not run is no test that passed."""
    if hasattr(session.config, "workerinput") or os.environ.get("CI") != "true" or session.exitstatus:
        return
    unknown = [
        test for test, why in _skipped(session.config) if not any(re.search(p, why) for p in MAY_BE_SKIPPED)
    ]
    if unknown:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last lines say in words what was not tested and why."""
    skipped = _skipped(config)
    if not skipped:
        return
    terminalreporter.section("시험하지 않은 것")
    for test, why in skipped:
        known = next((text for pattern, text in MAY_BE_SKIPPED.items() if re.search(pattern, why)), "")
        terminalreporter.write_line(f"{test}: {known or why}")


@pytest.fixture(autouse=True)
def progress_elsewhere(monkeypatch, tmp_path_factory):
    """Exercises that tests answer are nobody's progress."""
    log = tmp_path_factory.getbasetemp() / "progress.jsonl"
    monkeypatch.setattr("src.classroom.progress.log_file", lambda: log)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """What rtx4090 takes from the hub, as stand-ins on the loopback; ``hub_env`` leads a process there."""
    with serve_hub(build_hub(tmp_path_factory.mktemp("hub"))) as server:
        yield server


CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SENTENCES = [
    "다온 제습기 DH-2741의 소비 전력은 얼마인가요? 310W입니다. 물통 용량은 4.5L입니다.",
    "주어진 문맥만 근거로 질문에 답하세요. 문맥에 답이 없으면 답을 찾을 수 없다고 말하세요.",
    "[문서 1] 미지근한 물로 헹굽니다. 그늘에서 하루 말립니다. [질문] 필터는 어떻게 씻나요?",
    "문맥에 따르면 보증 기간은 구입일부터 2년입니다. 주어진 문맥에서 답을 찾을 수 없습니다.",
]


@pytest.fixture(scope="session")
def random_base_dir(tmp_path_factory):
    """A folder as ``data/tiny/base`` is: weights, configuration, tokenizer with chat template, pad ≠ EOS."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<pad>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=384,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        eos_token="<eos>",
        extra_special_tokens=special[2:],
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.2,  # far apart logits: greedy decoding has no near ties
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )
    path = tmp_path_factory.mktemp("random_base")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_profile(random_base_dir):
    """The tiny profile's numbers on the random model, with short runs."""
    MODELS["random"] = replace(MODELS["tiny"], key="random", source=str(random_base_dir))
    yield replace(
        PROFILES["tiny"],
        name="random",
        model="random",
        lora_r=8,
        batch_size=4,
        eval_batch_size=8,
        eval_steps=3,
        logging_steps=1,
        max_seq_length=256,
        max_new_tokens=8,
    )
    del MODELS["random"]


@pytest.fixture(scope="session")
def tokenizer(tiny_profile):
    from src.qlora.loading import load_tokenizer

    return load_tokenizer(tiny_profile)


@pytest.fixture
def nf4_base(tiny_profile):
    """A fresh 4-bit base for each test: adapters and preparation change it in place."""
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model

    return load_base_model(tiny_profile, quantization_config=build_bnb_config(tiny_profile))


@pytest.fixture
def records():
    """Sixteen records of different lengths, as RAFT writes them."""
    return [
        {
            "id": f"r{i}",
            "instruction": SENTENCES[1],
            "context": [f"모델 {i}의 소비 전력은 {100 + 7 * i}W입니다."] * (1 + i % 3),
            "question": f"모델 {i}의 소비 전력은 얼마인가요?",
            "answer": f"문맥에 따르면 {100 + 7 * i}W입니다.",
            "cot": None,
            "group_id": f"g{i}",
            "golden_index": 0,
            "answerable": True,
            "n_tokens": 0,
            "seed": 0,
        }
        for i in range(16)
    ]
