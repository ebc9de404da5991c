"""Stand-ins of what the profiles take from the Hugging Face hub, under the real names, written in seconds.

What is published with the real ones and matters here is there:

- EXAONE 3.0: the tiny base under EXAONE's names of weights and settings, in two shards, a GPT-2 tokenizer with EXAONE's
  special tokens and template, a licence, and remote code, which leaves a mark (``MARK``) when it is run;
- multilingual-e5-small: a random BERT with a Unigram tokenizer, as sentence-transformers publishes it;
- KorQuAD 1.0: the tests' own articles, as a card and one Parquet file a split.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from articles import STUFF, write_articles

from src.profiles import KORQUAD, PROFILES, ROOT
from src.qlora.registry import MODELS

EXAONE = MODELS["exaone-3.0-7.8b"]
E5 = PROFILES["rtx4090"].embedder
ANY_COMMIT = "0123456789abcdef0123456789abcdef01234567"  # of a repository that nothing here pins
MARK = "remote_code_ran"
ARTICLES = 60

# The tiny base's names of weights -> EXAONE 3.0's, and of special tokens.
WEIGHTS = {
    "model.embed_tokens.": "transformer.wte.",
    "model.norm.": "transformer.ln_f.",
    "model.layers.": "transformer.h.",
    "input_layernorm": "ln_1",
    "post_attention_layernorm": "ln_2",
    "self_attn.o_proj": "self_attn.out_proj",
    "self_attn.": "attn.attention.",
    "gate_proj": "c_fc_0",
    "up_proj": "c_fc_1",
    "down_proj": "c_proj",
}
TOKENS = {
    "<pad>": "[PAD]",
    "<bos>": "[BOS]",
    "<eos>": "[|endofturn|]",
    "<|system|>": "[|system|]",
    "<|user|>": "[|user|]",
    "<|assistant|>": "[|assistant|]",
}
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '[|system|][|endofturn|]\n' }}{% endif %}{{ '[|' + message['role'] + '|]' + message['content'] }}"
    "{% if message['role'] == 'user' %}{{ '\n' }}{% else %}{{ '[|endofturn|]\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}"
)


@dataclass
class Repo:
    """One repository: its files lie in ``folder``, all at one commit."""

    folder: Path
    commit: str

    def write(self, name: str, content: Any) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
        path.write_text(text, encoding="utf-8")

    def files(self) -> dict[str, Path]:
        """Every file by its name within the repository."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}


def build_hub(root: Path) -> dict[tuple[str, str], Repo]:
    """Write the stand-ins below ``root``; returns them by kind ("models", "datasets") and name."""

    def new(kind: str, name: str, commit: str | None) -> Repo:
        return Repo(root / kind / name, commit or ANY_COMMIT)

    embedder = new("models", E5, getattr(PROFILES["rtx4090"], "embedder_revision", None))
    hub = {
        ("models", EXAONE.source): new("models", EXAONE.source, EXAONE.revision),
        ("models", E5): embedder,
        ("datasets", KORQUAD.dataset): new("datasets", KORQUAD.dataset, KORQUAD.revision),
    }
    articles = write_articles(ARTICLES, seed=7, long=6)
    _write_exaone(hub["models", EXAONE.source], root / MARK)
    _write_embedder(embedder, [part["context"] for article in articles for part in article["paragraphs"]])
    _write_dataset(hub["datasets", KORQUAD.dataset], articles)
    return hub


def _write_exaone(repo: Repo, mark: Path) -> None:
    tiny = json.loads((ROOT / "data/tiny/base/config.json").read_text(encoding="utf-8"))
    same = (
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
        "head_dim",
    )
    ids = {name: tiny[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    classes = {"AutoConfig": "configuration_exaone.ExaoneConfig"}
    classes["AutoModelForCausalLM"] = "modeling_exaone.ExaoneForCausalLM"
    config = {
        "activation_function": "silu",
        "architectures": ["ExaoneForCausalLM"],
        "attention_dropout": 0.0,
        "auto_map": classes,
        "embed_dropout": 0.0,
        "layer_norm_epsilon": tiny["rms_norm_eps"],
        "max_position_embeddings": 4096,
        "model_type": "exaone",
        "num_layers": tiny["num_hidden_layers"],
        "rope_scaling": None,
        "rope_theta": tiny["rope_parameters"]["rope_theta"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.43.3",
        **{name: tiny[name] for name in same},
        **ids,
    }
    repo.write("config.json", config)
    repo.write(
        "generation_config.json", {"_from_model_config": True, "transformers_version": "4.43.3", **ids}
    )
    tripwire = f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\nraise RuntimeError('remote code was run')\n"
    for name in ("configuration_exaone.py", "modeling_exaone.py"):
        repo.write(name, tripwire)
    repo.write("LICENSE", f"{EXAONE.licence}: a stand-in.\n")
    repo.write("README.md", "---\nlicense: other\nlicense_name: exaone\n---\nA stand-in.\n")
    _write_exaone_tokenizer(repo)
    _write_shards(repo)


def _write_exaone_tokenizer(repo: Repo) -> None:
    text = (ROOT / "data/tiny/base/tokenizer.json").read_text(encoding="utf-8")
    for ours, theirs in TOKENS.items():
        text = text.replace(json.dumps(ours), json.dumps(theirs))
    stored = json.loads(text) | {"padding": None}
    repo.write("tokenizer.json", stored)
    repo.write("vocab.json", stored["model"]["vocab"])
    repo.write("merges.txt", "\n".join(["#version: 0.2", *map(" ".join, stored["model"]["merges"])]) + "\n")
    named = {"bos_token": "[BOS]", "eos_token": "[|endofturn|]", "pad_token": "[PAD]", "unk_token": "[PAD]"}
    settings = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in stored["added_tokens"]
        },
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": True,
        "model_max_length": 10**30,
        "tokenizer_class": "GPT2Tokenizer",
        **named,
    }
    repo.write("tokenizer_config.json", settings)
    repo.write("special_tokens_map.json", named)


def _write_shards(repo: Repo) -> None:
    """Two shards in fp32, as EXAONE 3.0 is published; its head is a matrix of its own."""
    from safetensors.torch import load_file, save_file

    weights = {}
    for name, tensor in load_file(ROOT / "data/tiny/base/model.safetensors").items():
        for ours, theirs in WEIGHTS.items():
            name = name.replace(ours, theirs)
        weights[name] = tensor.float().contiguous()
    weights.setdefault("lm_head.weight", weights["transformer.wte.weight"].clone())
    names = sorted(weights)
    where = {
        name: f"model-0000{1 + (2 * i >= len(names))}-of-00002.safetensors" for i, name in enumerate(names)
    }
    for file in sorted(set(where.values())):
        part = {name: weights[name] for name in names if where[name] == file}
        save_file(part, repo.folder / file, metadata={"format": "pt"})
    size = sum(tensor.nbytes for tensor in weights.values())
    repo.write("model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": where})


def _write_embedder(repo: Repo, texts: list[str]) -> None:
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=800, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    repo.write("tokenizer.json", tokenizer.to_str())
    named = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    named |= {"pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    repo.write("special_tokens_map.json", named)
    settings = {"model_max_length": 512, "tokenizer_class": "XLMRobertaTokenizer", **named}
    repo.write("tokenizer_config.json", settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=192,
            pad_token_id=1,
            tokenizer_class="XLMRobertaTokenizer",
        )
        weights = BertModel(config).state_dict()
    repo.write("config.json", config.to_json_string())
    # The published weights hold this, which today's BERT does not know.
    weights["embeddings.position_ids"] = torch.arange(config.max_position_embeddings).unsqueeze(0)
    save_file(weights, repo.folder / "model.safetensors", metadata={"format": "pt"})
    modules = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(modules.items())
    ]
    repo.write("modules.json", listed)
    repo.write("sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    pooling = {f"pooling_mode_{mode}": mode == "mean_tokens" for mode in modes}
    repo.write("1_Pooling/config.json", {"word_embedding_dimension": config.hidden_size, **pooling})
    repo.write("README.md", "---\nlicense: mit\n---\nA stand-in.\n")


def _in_other_words(number: int, name: str) -> dict:
    """A row whose answer is right, asked in the words of the sentence beside it: 02's checks take it for a wrong one."""
    there, seller = f"{STUFF[number % 12]} 곁 {STUFF[number // 12]} 앞", f"{number + 10}번 상인"
    lines = (
        f"{name}은 큰 고을이다.",
        f"{there}에는 장날이 돌아오면 사람이 모였다.",
        f"소는 {seller}의 것이었다.",
    )
    context = " ".join(lines)
    return {
        "id": f"{number}-9-0",
        "title": name,
        "context": context,
        "question": f"{name}의 {there}에서 장날이 돌아오면 가축을 팔던 이는?",
        "answers": {"text": [seller], "answer_start": [context.index(seller)]},
    }


def _write_dataset(repo: Repo, articles: list[dict]) -> None:
    """As KorQuAD's repository has it: one configuration, one Parquet file a split, their names in the card."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {
            "id": asked["id"],
            "title": article["title"],
            "context": part["context"],
            "question": asked["question"],
            "answers": {
                name: [answer[name] for answer in asked["answers"]] for name in ("text", "answer_start")
            },
        }
        for article in articles
        for part in article["paragraphs"]
        for asked in part["qas"]
    ]
    rows += [_in_other_words(number, article["title"]) for number, article in enumerate(articles)]
    name = KORQUAD.dataset.partition("/")[2]
    card = f"---\nconfigs:\n- config_name: {name}\n  default: true\n  data_files:\n"
    for split, part in {KORQUAD.split: rows, "validation": rows[:30]}.items():
        path = repo.folder / name / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(part), path)
        card += f"  - split: {split}\n    path: {name}/{split}-*\n"
    repo.write("README.md", card + "---\nA stand-in.\n")
