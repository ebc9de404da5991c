"""The offline embedder: counts of shared characters as a sentence-transformers module.

It is called overlap everywhere, never meaning: "됩니다" and "안 됩니다" are close neighbours for it, and two paraphrases
without a common word are strangers.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from sentence_transformers.base.modules import InputModule


class CharNgramTfidf(InputModule):
    """Hashed character n-gram TF-IDF as a sentence-transformers module.

    A text becomes counts of its 1-3-grams of characters in ``n_features`` hashed columns (MurmurHash3, the same
    on every machine; signs alternate so that collisions cancel on average, Weinberger et al. 2009,
    arXiv 0902.2206 §2), times the smoothed inverse document frequency ``ln((1 + n) / (1 + df)) + 1``, divided by
    its length. A text without characters is the zero vector: its cosine with anything is 0.

    On KLUE-STS 4,096 columns came within 0.04 (root mean square) of the unhashed cosine.
    """

    save_in_root = False
    config_keys = ("n_features", "ngram_min", "ngram_max")

    def __init__(self, n_features: int = 4096, ngram_min: int = 1, ngram_max: int = 3) -> None:
        super().__init__()
        self.n_features, self.ngram_min, self.ngram_max = n_features, ngram_min, ngram_max
        self.register_buffer("idf", torch.ones(n_features))

    @cached_property
    def _hasher(self) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(
            analyzer="char",
            ngram_range=(self.ngram_min, self.ngram_max),
            n_features=self.n_features,
            alternate_sign=True,
            norm=None,
            dtype=np.float32,
        )

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn how rare each column is. The order of the texts does not matter."""
        if not texts:
            raise ValueError("임베더를 맞출 글이 없습니다. 글을 하나 이상 넣어 주세요.")
        unsigned = self._hasher.__class__(**{**self._hasher.get_params(), "alternate_sign": False})
        document_frequency = unsigned.transform(texts).getnnz(axis=0)
        idf = np.log((1 + len(texts)) / (1 + document_frequency)) + 1
        self.idf.copy_(torch.from_numpy(idf.astype(np.float32)))
        return self

    def preprocess(
        self, inputs: Sequence[str], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Texts -> ``{"counts": float32 (batch, n_features)}``."""
        texts = [(prompt or "") + text.strip() for text in inputs]
        return {"counts": torch.from_numpy(self._hasher.transform(texts).toarray())}

    def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        """Adds ``sentence_embedding``: float32 (batch, n_features), of length 1 (or 0 for an empty text)."""
        weighted = features["counts"] * self.idf
        features["sentence_embedding"] = torch.nn.functional.normalize(weighted, dim=-1)
        return features

    def get_embedding_dimension(self) -> int:
        return self.n_features

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> Self:
        here = {"subfolder": subfolder, "local_files_only": True}
        model = cls(**cls.load_config(model_name_or_path, **here))
        return cls.load_torch_weights(model_name_or_path, model=model, **here)
