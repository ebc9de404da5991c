"""What a loss history says about a run: the learning rate was too high or too low, or the data was learned by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Far from a healthy run's noise, where a logged loss is the mean of a few steps (the first one: of a single step).
JUMP = 1.25  # times the first loss and the median: a jump upwards
FLAT = 0.9  # of the beginning
RISEN = 1.1  # times the lowest evaluation loss
GAP = 4.0  # evaluation loss over training loss, both at the end


def diagnose_history(history: pd.DataFrame) -> list[str]:
    """Korean findings about ``loss_history``'s table, each with its numbers and a remedy; empty: nothing suspicious.

    - exploded: a training loss is not finite (Trainer logs such a loss as 0); or the losses jump above ``JUMP`` times
      the first one and the median and do not come down to half the first; or they stay above twice the first; or the
      run ends having lost half of what it had gained.
    - flat: the last third of the training losses lies above ``FLAT`` times the beginning (the first loss or the first
      third's mean, whichever is higher).
    - overfitted: the last evaluation loss is above ``RISEN`` times the lowest while the training loss still fell, or
      above ``GAP`` times the training loss.

    Fewer than three losses of a kind say nothing about it. A loss says nothing about wrong labels: audit them first.
    """
    import numpy as np

    train, evaluated = history.dropna(subset=["loss"]), history.dropna(subset=["eval_loss"])
    # A diverged run logs NaN, which a table cannot tell from "not measured": a step with a learning rate was logged.
    logged = history["loss"][history["learning_rate"].notna()]
    losses, evals = train["loss"].to_numpy(), evaluated["eval_loss"].to_numpy()
    if not (np.isfinite(logged) & (logged > 0)).all():
        return ["학습 손실이 0이거나 NaN이나 무한대가 되었습니다. 학습률을 10분의 1로 낮춰 보세요."]
    findings = []
    third = max(1, len(losses) // 3)
    if len(losses) >= 3:
        first, last, middle = losses[0], losses[-third:].mean(), np.median(losses)
        jumped = losses.max() > JUMP * max(first, middle) and last > first / 2
        lost_half = losses.min() < FLAT * first and last > (losses.min() + first) / 2
        if jumped or middle > 2 * first or lost_half:
            findings.append(
                f"학습 손실이 튀어 올랐습니다(처음 {first:.2f}, 가장 높을 때 {losses.max():.2f}, 끝 {last:.2f}). "
                "학습률이 너무 큽니다. 10분의 1로 낮추거나 워밍업을 늘려 주세요."
            )
        elif last > FLAT * (start := max(first, losses[:third].mean())):
            findings.append(
                f"학습 손실이 거의 내려가지 않았습니다(처음 {start:.2f}, 끝 {last:.2f}). "
                "학습률이 너무 작거나 스텝이 모자랍니다. 학습률을 10배로 올려 보고, 어댑터가 붙었는지도 확인해 주세요."
            )
    if len(evals) >= 3:
        best, end = int(evals.argmin()), losses[-third:].mean() if len(losses) else np.inf
        step = int(evaluated["step"].iloc[best])
        before, since = (train["loss"][part] for part in (train["step"] <= step, train["step"] > step))
        falling = len(since) and len(before) and since.iloc[-1] < before.iloc[-1]
        risen = evals[-1] > RISEN * evals[best] and falling
        if risen or evals[-1] > GAP * end:
            rise = f"스텝 {step}의 {evals[best]:.3f}에서 다시 올랐습니다"
            what = rise if risen else "학습 손실에서 너무 멉니다"
            findings.append(
                f"과적합입니다. 학습 손실은 {end:.4f}까지 내려갔는데 검증 손실은 {evals[-1]:.3f}이고, {what}. "
                "데이터를 늘리거나 에폭을 줄이고, 가장 좋은 체크포인트를 쓰세요."
            )
    return findings
