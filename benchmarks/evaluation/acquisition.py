"""Which objects to photograph again: expected accuracy, nearest confusions, estimated gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betaln, expit, logit
from scipy.stats import beta as beta_distribution

from benchmarks.evaluation.inference import Predictions
from benchmarks.evaluation.schema import Confusion, Curve, Outlook
from benchmarks.results.classification import Interval
from benchmarks.results.cluster_bootstrap import draw_objects, interval
from mobile_assets.labels import LabelMap

TARGET = 8
"""Photos per object that the paper calls the sweet spot (Winterbottom et al., 2022)."""

NEAREST = 3
"""How many of an object's nearest confusions are listed of each kind."""

_RIDGE = 0.05
"""Pull of the curve's two numbers towards 0, in photos: keeps them finite where all are right."""

_USUAL_PRIOR = 4.0
_PRIOR_SPREAD = 1.0
"""Log-normal prior of the prior's own weight: 4 photos, a factor of e either way. Objects with
one held-out photo each say nothing about it, and it decides alone then."""

Shares = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ObjectEvidence:
    """Held-out photos, right answers and the right answer's mean probability, each `[objects]`.

    The mean is NaN without photos.
    """

    held_out: Counts
    right: Counts
    own: Shares


def evidence_of(answered: Predictions, model: str, objects: int) -> ObjectEvidence:
    """Counts a model's answers to held-out photos by object."""
    truth = answered.truth
    held_out = np.bincount(truth, minlength=objects)
    right = np.bincount(truth[answered.answers[model].right], minlength=objects)
    own = np.bincount(truth, weights=answered.answers[model].own, minlength=objects)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = own / held_out
    return ObjectEvidence(held_out, right, mean)


def fit_curve(photos: Counts, evidence: ObjectEvidence, *, resamples: int, seed: int) -> Curve:
    """Fits top-1 against the logarithm of `photos`, `[objects]` in the register, and the scatter.

    The evidence must hold at least one photo; objects are drawn for the slope's interval.
    """
    shown = np.flatnonzero(evidence.held_out)
    x = np.log(np.maximum(photos[shown], 1).astype(np.float64))
    held = evidence.held_out[shown].astype(np.float64)
    right = evidence.right[shown].astype(np.float64)
    sloped = len(np.unique(x)) > 1
    intercept, slope = _logistic(x, right, held, sloped=sloped)
    slopes = [
        _logistic(x, right * times, held * times, sloped=True)[1]
        for times in draw_objects(len(shown), resamples=resamples if sloped else 0, seed=seed)
    ]
    return Curve(
        intercept=intercept,
        slope=slope if sloped else None,
        slope_ci95=interval(slopes),
        prior_photos=_prior_photos(expit(intercept + slope * x), right, held),
        evidence_photos=int(held.sum()),
        target=TARGET,
    )


def _logistic(x: Shares, right: Shares, held: Shares, *, sloped: bool) -> tuple[float, float]:
    """Intercept and slope by Newton's method, a little ridge on both, about the mean of x."""
    centre = float((x * held).sum() / held.sum())
    columns = np.stack([np.ones_like(x), x - centre], axis=1)[:, : 2 if sloped else 1]
    # Half a photo right and half wrong keep the intercept finite where all photos are alike.
    start = float(logit((right.sum() + 0.5) / (held.sum() + 1)))
    coefficients = np.zeros(columns.shape[1])
    coefficients[0] = start
    anchor = coefficients.copy()
    for _ in range(25):
        share = expit(columns @ coefficients)
        slope_of = columns.T @ (right - held * share) - _RIDGE * (coefficients - anchor)
        bend = (columns * (held * share * (1 - share))[:, None]).T @ columns
        step = np.linalg.solve(bend + _RIDGE * np.eye(len(coefficients)), slope_of)
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-8:
            break
    slope = float(coefficients[1]) if sloped else 0.0
    return float(coefficients[0]) - slope * centre, slope


def _prior_photos(expected: Shares, right: Shares, held: Shares) -> float:
    """How many photos the curve counts for: beta-binomial likelihood with a log-normal prior."""

    def cost(log_weight: float) -> float:
        weight = float(np.exp(log_weight))
        a, b = weight * expected, weight * (1 - expected)
        likelihood = betaln(a + right, b + held - right) - betaln(a, b)
        prior = ((log_weight - np.log(_USUAL_PRIOR)) / _PRIOR_SPREAD) ** 2 / 2
        return float(prior - likelihood.sum())

    return float(np.exp(minimize_scalar(cost, bounds=(-2.5, 5.0), method="bounded").x))


def outlooks(
    labels: LabelMap,
    training_photos: Counts,
    evidence: ObjectEvidence,
    curve: Curve,
    nearest: Mapping[int, Sequence[Confusion]],
) -> tuple[Outlook, ...]:
    """Every object's outlook, the largest estimated gain first.

    An object's expected accuracy is that of objects with as many photos, drawn towards its own
    held-out photos: the mean of a beta distribution whose prior counts as `curve.prior_photos`
    photos. Objects that are expected equally good stand by the probability that the right answer
    got, the lowest first.
    """
    rows = []
    for label in labels.labels:
        index, photos = label.index, label.photos
        right, held = int(evidence.right[index]), int(evidence.held_out[index])
        prior = float(expit(curve.intercept + (curve.slope or 0.0) * np.log(max(photos, 1))))
        a = curve.prior_photos * prior + right
        b = curve.prior_photos * (1 - prior) + held - right
        low, high = beta_distribution.ppf([0.025, 0.975], a, b)
        expected, own = float(a / (a + b)), float(evidence.own[index])
        gain, gain_ci95 = _gain(expected, photos, curve)
        rows.append(
            Outlook(
                object_id=label.object_id,
                title=label.title,
                collection=label.collection,
                photos=photos,
                training_photos=int(training_photos[index]),
                held_out=held,
                right=right,
                expected=expected,
                expected_ci95=(float(low), float(high)),
                own_probability=own if np.isfinite(own) else None,
                nearest=tuple(nearest.get(index, ())),
                photos_to_take=max(0, curve.target - photos),
                gain=gain,
                gain_ci95=gain_ci95,
            )
        )

    def urgency(row: Outlook) -> tuple[float, float, float, str]:
        own = 1.0 if row.own_probability is None else row.own_probability
        return -(row.gain or 0.0), row.expected, own, row.object_id

    return tuple(sorted(rows, key=urgency))


def _gain(expected: float, photos: int, curve: Curve) -> tuple[float | None, Interval | None]:
    """What the curve's slope promises from `photos` to the target, for the object itself."""
    if curve.slope is None:
        return None, None
    if photos >= curve.target:
        return 0.0, (0.0, 0.0)
    further = float(np.log(curve.target / max(photos, 1)))

    def at(slope: float) -> float:
        return float(expit(logit(expected) + slope * further)) - expected

    bounds = curve.slope_ci95
    return at(curve.slope), None if bounds is None else (at(bounds[0]), at(bounds[1]))


def nearest_confusions(
    answered: Predictions, model: str, means: NDArray[np.float32], labels: LabelMap
) -> dict[int, list[Confusion]]:
    """What each object is taken for, by class index.

    First those with the highest mean probability on its held-out photos, then those with the most
    alike mean features: `means` is `[objects, features]`, zeros where there are no training photos.
    """
    confusions: dict[int, list[Confusion]] = {}
    answers, truth = answered.answers[model], answered.truth
    for index in np.unique(truth):
        rows = np.flatnonzero(truth == index)
        shares: dict[int, float] = {}
        for other, probability in zip(
            answers.best[rows].ravel(), answers.probability[rows].ravel(), strict=True
        ):
            if other not in (index, -1):
                shares[int(other)] = shares.get(int(other), 0.0) + float(probability) / len(rows)
        best = sorted(shares, key=lambda other: (-shares[other], other))[:NEAREST]
        confusions[int(index)] = [
            Confusion(object_id=labels[o].object_id, by="answers", value=min(1.0, shares[o]))
            for o in best
        ]
    for index, others in _alike(means).items():
        confusions.setdefault(index, []).extend(
            Confusion(object_id=labels[other].object_id, by="look", value=value)
            for other, value in others
        )
    return confusions


def _alike(means: NDArray[np.float32]) -> dict[int, list[tuple[int, float]]]:
    """The nearest objects by the cosine of features, less what all objects have in common."""
    known = np.flatnonzero(np.abs(means).sum(axis=1) > 0)
    if len(known) < 2:
        return {}
    centred = means[known] - means[known].mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    units = centred / np.maximum(norms, 1e-12)
    nearest = {}
    for start in range(0, len(known), 512):  # keeps the table of cosines small
        cosines = units[start : start + 512] @ units.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -2.0
        best = np.argsort(-cosines, axis=1, kind="stable")[:, : min(NEAREST, len(known) - 1)]
        for row in rows:
            nearest[int(known[start + row])] = [
                (int(known[other]), float(np.clip(cosines[row, other], -1, 1)))
                for other in best[row]
            ]
    return nearest
