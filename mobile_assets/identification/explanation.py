"""Why an answer is what it is, in a sentence for the officer and the expert beside him."""

from __future__ import annotations

from mobile_assets.identification.decision import VariantDecision, Verdict

UNJUDGED = (
    "The bundle has no thresholds that were set on objects the network never saw, so every answer "
    "is a shortlist. Export it again for more."
)


def explain(verdict: Verdict, decision: VariantDecision) -> str:
    """The reason for a verdict on fit photos: its score, the threshold and what is promised."""
    if verdict.score is None:
        return "No photo can be judged."
    score = f"Score {verdict.score:.3f}"
    evidence = decision.evidence
    if verdict.answer == "match":
        return (
            f"{score}, at least {verdict.threshold:.3f}: at most {_percent(verdict.promise)} of "
            "photos of objects that are not in the register are promised to reach it (set on "
            f"{evidence.unseen_photos} photos of {evidence.unseen_objects} objects that the "
            "network never saw)."
        )
    if verdict.answer == "not in the register":
        return (
            f"{score}, below {verdict.threshold:.3f}, which 98 % of the photos of the register "
            "reach that are recognised."
        )
    below = _why_no_match(verdict)
    if verdict.promise is None:
        return f"{score}, {below} No length of the list can be promised to hold the right object."
    return (
        f"{score}, {below} If the object is in the register, it is promised to stand among these "
        f"{len(verdict.objects)} in {_percent(verdict.promise)} of cases."
    )


def _why_no_match(verdict: Verdict) -> str:
    if verdict.threshold is None:
        return "and no match is ever promised: too few objects were held out of the training."
    if verdict.score is not None and verdict.score >= verdict.threshold:
        return "enough for a match, but two objects fit equally well."
    return f"below the {verdict.threshold:.3f} of a match."


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):g} %"
