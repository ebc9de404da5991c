"""The card that goes with an adapter: what it was made from, what it scores, how to use it, where it ends."""

from collections.abc import Mapping
from typing import Any

from src.evaluation.results import Comparison
from src.profiles import Profile
from src.qlora.registry import licence_line, model_spec
from src.raft.prompt import INSTRUCTION, to_messages
from src.templates import TEMPLATES

WORKSHOP_DATA = "data/raw/"  # CC BY 4.0 by data/README.md


def model_card(
    profile: Profile,
    log: Mapping[str, Any],
    comparison: Comparison | None = None,
    *,
    source: str | None = None,
) -> str:
    """README.md of an adapter: metadata the hub reads, data, training, scores, how to use it, limits.

    ``log`` is ``training_log.json``'s content, ``comparison`` was made *with this adapter*,
    ``source`` says where the data came from and under which licence, where it is not the workshop's own.
    """
    from huggingface_hub import ModelCard, ModelCardData

    spec = model_spec(profile)
    open_source = spec.licence == "Apache-2.0"
    metadata = ModelCardData(
        base_model=None if spec.local else spec.source,  # the hub takes its own names only
        library_name="peft",
        pipeline_tag="text-generation",
        language="ko",
        license="apache-2.0" if open_source else "other",
        license_name=None if open_source else spec.licence,
        tags=["lora", "qlora", "raft"],
    )
    ours = all(file.startswith(WORKSHOP_DATA) for file in profile.data_files)
    data_licence = "CC BY 4.0, 지어낸 회사의 인공 데이터" if ours else source or "라이선스를 직접 적어 주세요"
    if profile.hub_data:
        data_licence += f"; {profile.hub_data.dataset}의 일부: {profile.hub_data.licence}"
    example = {"instruction": INSTRUCTION, "context": ["…"], "question": "…"}
    card = ModelCard.from_template(
        metadata,
        template_path=str(TEMPLATES / "card.md.j2"),
        profile=profile,
        log=log,
        comparison=comparison,
        columns=("지표", "베이스 모델", "튜닝한 모델", "차이", "차이의 95% 구간", "판정"),
        spec=spec,
        licence=licence_line(spec),
        data_licence=data_licence,
        prompt=to_messages(example, with_answer=False),
    )
    return str(card) + "\n"
