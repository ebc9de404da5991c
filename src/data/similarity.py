"""Which of many short texts are nearly the same, without comparing every one with every other."""

from collections.abc import Sequence

from src.data.text import text_key

NUM_PERM = 128  # hash values a signature; its bands are this many divided by the rows of a band
MIN_RECALL = 0.999  # probability, in theory, that a pair right at the threshold becomes a candidate
FAMILY = 32  # a text with this many earlier partners is no longer a partner itself


def similar_pairs(texts: Sequence[str], *, threshold: float = 0.9) -> list[tuple[int, int, float]]:
    """(later, earlier, score) of texts whose character 3-gram sets are alike, in order of position.

    The score is the Jaccard similarity of the 3-gram sets of ``text_key``, 0-1, computed exactly. Candidates come
    from MinHash signatures in bands (Broder 1997; Leskovec et al., *Mining of Massive Datasets*, section 3.4), so
    the time grows with the number of texts and not with its square; a pair at the threshold is missed about once
    in a thousand, one above it less often. Same texts in, same pairs out.

    Texts with one and the same key are paired with the first of them only, at 1.0, and only that one is compared with
    others. A text that has ``FAMILY`` partners is not offered to later ones: a large family stays linear in pairs.

    Raises:
        ValueError: ``threshold`` is not above 0 and at most 1.
    """
    from rensa import RMinHash, RMinHashLSH

    if not 0 < threshold <= 1:
        raise ValueError(f"threshold는 0보다 크고 1 이하여야 합니다(받은 값: {threshold}).")
    first: dict[str, int] = {}
    pairs: list[tuple[int, int, float]] = []
    keys = [text_key(text) for text in texts]
    for position, key in enumerate(keys):
        if (same := first.setdefault(key, position)) != position:
            pairs.append((position, same, 1.0))

    index = RMinHashLSH(threshold=threshold, num_perm=NUM_PERM, num_bands=_bands(threshold))
    sizes: dict[int, int] = {}
    for key, late in first.items():
        grams = _grams(key)
        sizes[late] = len(grams)
        signature = RMinHash(num_perm=NUM_PERM, seed=0)
        signature.update(sorted(grams))
        partners = 0
        for early in sorted(set(index.query(signature))):
            small, large = sorted((sizes[early], len(grams)))
            if small < threshold * large:  # cannot be alike enough: spares the comparison
                continue
            shared = len(grams & _grams(keys[early]))
            score = shared / (small + large - shared)
            if score >= threshold:
                pairs.append((late, early, score))
                partners += 1
        if partners < FAMILY:
            index.insert(late, signature)
    return sorted(pairs)


def _grams(key: str) -> set[str]:
    """The 3-grams of a key; a shorter key stands for itself."""
    return {key[i : i + 3] for i in range(len(key) - 2)} or {key}


def _bands(threshold: float) -> int:
    """The fewest bands with ``MIN_RECALL``: with r rows a band, a pair of similarity s is found with probability
    1 - (1 - s^r)^bands, and fewer, longer bands bring fewer pairs that are far from it."""
    bands = 1
    while bands < NUM_PERM and 1 - (1 - threshold ** (NUM_PERM // bands)) ** bands < MIN_RECALL:
        bands *= 2
    return bands
