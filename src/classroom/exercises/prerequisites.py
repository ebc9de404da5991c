"""Exercises of notebook 00.01: the machine and the models on offer."""

from src.classroom.exercises.registry import Hints, exercise


@exercise("00.01-rows", number=True)
def _rows(answer: int) -> Hints:
    from src.data.reading import load_samples
    from src.profiles import ROOT, active_profile

    counts = [len(load_samples(ROOT / name)) for name in active_profile().data_files]
    yield answer in counts, "한 파일의 행만 세었습니다. 세 파일을 모두 더해 주세요."
    yield answer == sum(counts) + 1, "하나가 많습니다. CSV의 첫 줄은 머리글이라 행이 아닙니다."
    yield answer != sum(counts), "len(samples)를 출력해 보세요. samples에는 세 파일의 모든 행이 있습니다."


@exercise("00.01-licence")
def _licence(answer: list[str]) -> Hints:
    from src.qlora.registry import MODELS

    free = {key for key, spec in MODELS.items() if spec.licence == "Apache-2.0"}
    chosen = {answer} if isinstance(answer, str) else set(answer)
    unknown = ", ".join(sorted(map(str, chosen - MODELS.keys())))
    yield unknown, f"{unknown}은(는) 목록에 없습니다. list(MODELS)에 나온 이름으로 적어 주세요."
    wrong = ", ".join(sorted(chosen - free))
    yield wrong, f"{wrong}은(는) 상업적 이용이 안 됩니다. 라이선스의 NC가 무슨 뜻인지 확인해 주세요."
    yield chosen != free, "더 있습니다. 라이선스가 같은 모델을 모두 골라 주세요."
