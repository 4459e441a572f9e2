"""How a trial of an NNI experiment has ended, in the words of a sweep.

NNI shows a trial as canceled whether an assessor, a limit of time or its user has stopped it, or a
signal has killed it. The trial's own record tells these apart.
"""

from __future__ import annotations

from typing import Any

from sweeprl.nni.reading.jobs import JobHistory

__all__ = ["outcome_of"]


def outcome_of(job: JobHistory, seed: int, was_stopped: bool = False) -> dict[str, Any] | None:
    """Returns what a sweep's study keeps as a trial's `outcome`; None where it has not ended.

    Args:
        job: the trial.
        seed: that it was trained on, where it has no record.
        was_stopped: whether an assessor of ours has asked for its end.
    """
    status, reason = _end(job, was_stopped)
    if not status:
        return None
    record, score = job.record, job.score
    known = {} if record is None else {str(record.seed): record.test_return}
    is_measured = status == "finished" and score is not None
    return {
        "status": status,
        "reason": reason,
        "scores": {str(seed if record is None else record.seed): score} if is_measured else {},
        "test_returns": known if is_measured else {},
        "env_steps": max(job.reports, default=0) if record is None else record.env_steps,
        "seconds": job.seconds if record is None else round(record.seconds, 3),
        **({"values": [score]} if is_measured else {}),
    }


def _end(job: JobHistory, was_stopped: bool) -> tuple[str, str]:
    """Status and reason; no status where it has not ended."""
    record = job.record
    if record is not None and record.status == "failed" and job.is_over:
        return "failed", record.reason  # before that, NNI may go on with it
    is_finished = record is not None and record.status == "finished"
    if is_finished or job.status == "SUCCEEDED":
        if job.score is None:
            return "failed", "its score must be a finite number, but it has none"
        return "finished", "" if record is None else record.reason
    if not job.is_over:
        return "", ""
    if job.status == "FAILED":
        return "failed", f"its process ended with an error, see '{job.folder / 'trial.stderr'}'"
    return _cancelled(job, was_stopped)


def _cancelled(job: JobHistory, was_stopped: bool) -> tuple[str, str]:
    if was_stopped:
        return "pruned", "its assessor stopped it"
    if job.was_cancelled:
        return "pruned", "its user stopped it"
    is_orderly = job.record is not None and job.record.status == "stopped"
    if is_orderly or job.status == "EARLY_STOPPED":
        return "pruned", "NNI stopped it: its assessor, or a limit of time"
    return "failed", "its process was killed"
