"""The classifier of feature views: scikit-learn's contract, views, fusion, trust."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import ter_fast
from ter_fast.errors import DataError
from ter_fast.multiview import TrustedClassifier, ViewScaler
from ter_fast.multiview.networks import MemberLinear
from ter_fast.multiview.validated import RATES
from ter_fast.opinions._views import drop_views
from ter_fast.opinions.losses import LOSSES
from ter_fast.opinions.opinion import RULES, Opinion

QUICK: dict[str, Any] = {
    "epochs": 25,
    "hidden": (64,),
    "learning_rate": 1e-2,
    "random_state": 0,
}


@pytest.mark.slow
@parametrize_with_checks([TrustedClassifier(epochs=40, hidden=(32,), random_state=0)])  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks(estimator: TrustedClassifier, check: Any) -> None:
    check(estimator)


def digits() -> tuple[dict[str, Any], Any]:
    """Handwritten digits as two views: the left and the right half of each picture."""
    pictures, labels = load_digits(return_X_y=True)
    halves = pictures.reshape(-1, 8, 8)
    return {
        "left": halves[:, :, :4].reshape(-1, 32),
        "right": halves[:, :, 4:].reshape(-1, 32),
    }, labels


@pytest.fixture(scope="module")
def halves() -> tuple[dict[str, Any], Any, dict[str, Any], Any]:
    views, labels = digits()
    train, test = train_test_split(np.arange(len(labels)), test_size=0.4, random_state=0)
    return (
        {name: view[train] for name, view in views.items()},
        labels[train],
        {name: view[test] for name, view in views.items()},
        labels[test],
    )


@pytest.fixture(scope="module")
def fitted(halves: tuple[dict[str, Any], Any, dict[str, Any], Any]) -> TrustedClassifier:
    views, labels, _, _ = halves
    return TrustedClassifier(**QUICK).fit(views, labels)


@pytest.mark.slow
def test_two_views_know_more_than_either(
    fitted: TrustedClassifier, halves: tuple[dict[str, Any], Any, dict[str, Any], Any]
) -> None:
    _, _, views, labels = halves
    fused, each = fitted.opinions(views)
    own = {
        name: float((opinion.prediction.numpy() == labels).mean()) for name, opinion in each.items()
    }
    together = float((fused.prediction.numpy() == labels).mean())
    assert together > max(own.values()) > 0.8
    assert together == fitted.score(views, labels) > 0.95
    np.testing.assert_allclose(
        fitted.predict_proba(views), fused.probability.double().numpy(), atol=1e-6
    )
    assert fused.disagreement is not None
    # Where views disagree, the answer is more often wrong.
    wrong = fused.prediction.numpy() != labels
    assert fused.disagreement[wrong].mean() > fused.disagreement[~wrong].mean()


def test_fusion_with_a_failure_rate_is_the_mixture_that_it_says() -> None:
    """Dempster over discounted, nearly certain opinions: prod ((1 - eps) p + eps / K)."""
    torch.manual_seed(0)
    logits = 30 + 3 * torch.randn(3, 1, 50, 5, dtype=torch.float64)
    model = TrustedClassifier(failure_rate=0.2, activation="exp")
    # Evidence of exp(min(z, ln 1e6)) is at most 1e6: stay below it.
    logits = logits - logits.amax(-1, keepdim=True) + 13.0
    evidence = logits.exp()[:, 0]
    fused = model._fuse(evidence, torch.ones(3, 50, dtype=torch.bool))
    p = evidence / evidence.sum(-1, keepdim=True)
    expected = (0.8 * p + 0.2 / 5).prod(0)
    found = fused.belief + fused.uncertainty[..., None]
    torch.testing.assert_close(
        found / found.sum(-1, keepdim=True),
        expected / expected.sum(-1, keepdim=True),
        rtol=1e-3,
        atol=1e-6,
    )


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_projected_fusion_is_the_mixture_for_uncertain_views_too(rate: float) -> None:
    torch.manual_seed(0)
    evidence = torch.randn(3, 50, 5, dtype=torch.float64).exp()
    evidence[0, 0] = 0.0
    model = TrustedClassifier(failure_rate=rate, projected=True)
    fused = model._fuse(evidence, torch.ones(3, 50, dtype=torch.bool))
    mixed = ((1 - rate) * Opinion(evidence).probability + rate / 5).prod(0)
    total = mixed.sum(-1, keepdim=True)
    torch.testing.assert_close(fused.probability, mixed / total, rtol=2e-5, atol=1e-7)
    # What is left where every view failed.
    torch.testing.assert_close(
        fused.uncertainty, 5 * (max(rate, 1e-6) / 5) ** 3 / total[:, 0], rtol=1e-4, atol=0
    )
    # One view alone too, and answers as they are given.
    one = model._fuse(evidence[:1], torch.ones(1, 50, dtype=torch.bool)).probability
    p = Opinion(evidence[0]).probability
    torch.testing.assert_close(one, (1 - rate) * p + rate / 5, rtol=2e-5, atol=1e-7)
    logits = evidence[:, None, 1:].log()
    answer = model._probability(logits, torch.ones(3, 49, dtype=torch.bool))
    torch.testing.assert_close(answer, (mixed / total)[1:], rtol=2e-5, atol=1e-7)
    # With their vacuity, the opinions of the views make less sure.
    plain = TrustedClassifier(failure_rate=rate)._fuse(
        evidence, torch.ones(3, 50, dtype=torch.bool)
    )
    assert fused.probability.amax(-1).mean() > plain.probability.amax(-1).mean() + 0.01
    # A view that is absent takes no part.
    without = torch.tensor([[True], [False], [True]]).expand(3, 50)
    two = model._fuse(evidence[[0, 2]], without[[0, 2]])
    torch.testing.assert_close(model._fuse(evidence, without).probability, two.probability)
    # One that knows nothing contradicts nobody.
    silent = torch.tensor([[[1000.0, 0, 0, 0, 0]], [[0.0] * 5]])
    known = model._fuse(silent, torch.ones(2, 1, dtype=torch.bool))
    assert float(known.disagreement) == float(known.conflict) == 0.0


@pytest.mark.slow
def test_no_view_is_surer_than_it_may_be(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    model = TrustedClassifier(max_evidence_share=0.9, **QUICK).fit(train, labels)
    assert model.score(test, truth) > 0.9
    far = {name: 1e4 * view for name, view in test.items()}
    for views in (test, far):
        for opinion in model.opinions(views)[1].values():
            shares = opinion.evidence / opinion.evidence.sum(-1, keepdim=True)
            assert 0.85 < float(shares.max()) <= 0.9 + 1e-6
    refused = TrustedClassifier(max_evidence_share=0.05, **QUICK)
    with pytest.raises(ValueError, match=r"is 0\.05; expected more than 1 / K = 0\.1 for 10"):
        refused.fit(train, labels)
    assert not hasattr(refused, "classes_")


@pytest.mark.slow
def test_a_failing_view_is_outvoted(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    three = {**train, "both": np.concatenate(list(train.values()), 1)}
    rng = np.random.default_rng(0)
    swapped = {**test, "both": np.concatenate(list(test.values()), 1)}
    swapped["both"] = swapped["both"][rng.permutation(len(truth))]
    scores = {}
    for rate in (0.0, 0.1):
        model = TrustedClassifier(failure_rate=rate, **QUICK).fit(three, labels)
        scores[rate] = model.score(swapped, truth)
    assert scores[0.1] > scores[0.0] + 0.05


@pytest.mark.slow
def test_a_missing_view_is_masked(
    fitted: TrustedClassifier, halves: tuple[dict[str, Any], Any, dict[str, Any], Any]
) -> None:
    _, _, views, _ = halves
    gone = {"left": views["left"], "right": np.full_like(views["right"], np.nan)}
    fused, each = fitted.opinions(gone)
    left = fitted.opinions(views)[1]["left"]
    torch.testing.assert_close(each["left"].evidence, left.evidence)
    assert (each["right"].evidence == 0).all()
    assert (fused.prediction == left.prediction).all()
    nothing = {name: np.full_like(view[:3], np.nan) for name, view in views.items()}
    np.testing.assert_allclose(fitted.predict_proba(nothing), 0.1)
    assert fitted.confidence_of(nothing).tolist() == [0, 0, 0]
    half = {name: view.copy() for name, view in views.items()}
    half["right"][5, 3] = np.nan
    with pytest.raises(ValueError, match="contains NaN in part of view 'right', as in sample 5"):
        fitted.predict(half)


@pytest.mark.slow
def test_views_missing_in_training_are_learned_from_the_rest(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    holes = {name: view.copy() for name, view in train.items()}
    holes["left"][::2] = np.nan
    holes["right"][1::3] = np.nan
    for fused in (False, True):
        model = TrustedClassifier(train_fused=fused, **QUICK).fit(holes, labels)
        assert model.score(test, truth) > 0.9
    with pytest.raises(ValueError, match="view 'left' is missing"):
        model.fit({**holes, "left": np.full_like(train["left"], np.nan)}, labels)


@pytest.mark.slow
def test_a_table_and_its_widths_are_the_same_views(
    fitted: TrustedClassifier, halves: tuple[dict[str, Any], Any, dict[str, Any], Any]
) -> None:
    train, labels, test, _ = halves
    table = np.concatenate(list(train.values()), 1)
    expected = fitted.predict_proba(test)
    tested = np.concatenate(list(test.values()), 1)
    by_width = TrustedClassifier((32, 32), **QUICK).fit(table, labels)
    by_name = TrustedClassifier({"left": range(32), "right": range(32, 64)}, **QUICK).fit(
        table, labels
    )
    listed = TrustedClassifier(**QUICK).fit(list(train.values()), labels)
    np.testing.assert_allclose(by_width.predict_proba(tested), expected, atol=1e-6)
    np.testing.assert_allclose(by_name.predict_proba(tested), expected, atol=1e-6)
    np.testing.assert_allclose(listed.predict_proba(list(test.values())), expected, atol=1e-6)
    assert by_name.view_names_ == ["left", "right"]
    with pytest.raises(ValueError, match="give the same views in the same order"):
        fitted.predict({"right": test["right"], "left": test["left"]})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "loss"),
    [*((rule, "log") for rule in RULES), *(("dempster", loss) for loss in LOSSES[1:])],
)
def test_every_rule_and_loss_learns(rule: str, loss: str) -> None:
    views, labels = digits()
    some = {name: view[:400] for name, view in views.items()}
    model = TrustedClassifier(
        rule=rule, loss=loss, train_fused=True, lambda_max=0.05, conflict_weight=0.1, **QUICK
    ).fit(some, labels[:400])
    rest = {name: view[400:] for name, view in views.items()}
    assert model.score(rest, labels[400:]) > 0.75
    assert model.loss_curve_[-1] < model.loss_curve_[0]


@pytest.mark.slow
def test_members_and_the_joint_view(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    model = TrustedClassifier(members=3, joint_view=True, **QUICK).fit(train, labels)
    assert model.view_names_ == ["left", "right", "joint"]
    assert model.score(test, truth) > 0.95
    logits = torch.cat([part for part, _ in model._logits(test)], 2).double()
    # Certain opinions: what is left of the uncertainty at evidence 1e6 is 1e-5.
    beliefs = ter_fast.Opinion((logits - (logits.amax(-1, keepdim=True) - 13.8).clamp_min(0)).exp())
    _, each = model.opinions(test)
    torch.testing.assert_close(
        each["joint"].belief, beliefs.belief[2].mean(0).float(), rtol=1e-3, atol=1e-5
    )
    torch.testing.assert_close(
        each["joint"].uncertainty, beliefs.uncertainty[2].mean(0).float(), rtol=0.02, atol=1e-6
    )


def test_members_do_not_touch_one_another() -> None:
    torch.manual_seed(0)
    layer, values = MemberLinear(3, 4, 2), torch.randn(3, 5, 4)
    for member in range(3):
        expected = values[member] @ layer.weight[member] + layer.bias[member]
        torch.testing.assert_close(layer(values)[member], expected)


@pytest.mark.slow
def test_the_seed_decides_and_the_callers_stays(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, _ = halves
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = TrustedClassifier(**QUICK).fit(train, labels).predict_proba(test)
    assert torch.rand(1) == expected
    second = TrustedClassifier(**QUICK).fit(train, labels).predict_proba(test)
    np.testing.assert_array_equal(first, second)
    other = clone(TrustedClassifier(**QUICK)).set_params(random_state=1).fit(train, labels)
    assert np.abs(other.predict_proba(test) - first).max() > 1e-3


def test_scales_are_those_of_the_training_data() -> None:
    scaler = ViewScaler({"a": [0]}).fit(np.array([[0.0], [2.0], [np.nan]]))
    values, mask = scaler.transform(np.array([[1.0], [3.0], [1e9], [np.nan]]))
    assert values[0].flatten().tolist() == [0.0, 2.0, 10.0, 0.0]
    assert mask.tolist() == [[True, True, True, False]]


@pytest.mark.slow
def test_trust_is_calibrated_on_data_of_its_own(
    fitted: TrustedClassifier, halves: tuple[dict[str, Any], Any, dict[str, Any], Any]
) -> None:
    _, _, views, labels = halves
    chosen, other = np.arange(0, 400), np.arange(400, len(labels))
    held = {name: view[chosen] for name, view in views.items()}
    rest = {name: view[other] for name, view in views.items()}
    model = clone(fitted).fit(*halves[:2])
    with pytest.raises(DataError, match="no threshold of trust is set"):
        model.trusted(rest)
    model.calibrate(held, labels[chosen], "precision=0.995")
    trusted = model.trusted(rest)
    right = model.predict(rest) == labels[other]
    assert 0.3 < trusted.mean() < 1
    assert right[trusted].mean() > right.mean()
    model.calibrate(held, labels[chosen], risk=0.05, delta=0.1)
    assert model.guarantee_ is not None
    assert model.threshold_ == model.guarantee_.threshold is not None
    # Ten samples guarantee nothing, and then nothing is trusted.
    few = {name: view[:10] for name, view in views.items()}
    model.calibrate(few, labels[:10], risk=0.01, delta=0.01)
    assert model.threshold_ is None
    assert not model.trusted(rest).any()
    with pytest.raises(DataError, match="y holds 11, which the classifier was not trained on"):
        model.calibrate(few, labels[:10] * 0 + 11)


@pytest.mark.slow
def test_it_works_in_pipelines_and_searches() -> None:
    views, labels = digits()
    table = np.concatenate(list(views.values()), 1)[:300]
    model = TrustedClassifier((32, 32), **QUICK)
    piped = make_pipeline(FunctionTransformer(np.log1p), model)
    assert cross_val_score(piped, table, labels[:300], cv=2).mean() > 0.8
    search = GridSearchCV(model, {"failure_rate": [0.0, 0.1]}, cv=2).fit(table, labels[:300])
    assert search.best_score_ > 0.8


@pytest.mark.slow
def test_class_weights_move_the_border() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(400) % 10 == 0).astype(int)
    table = rng.normal(labels[:, None] * 1.2, 1.0, (400, 2))
    shares = [
        TrustedClassifier(class_weight=weight, **QUICK).fit(table, labels).predict(table).mean()
        for weight in (None, "balanced", {1: 20.0})
    ]
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "bayes"}, "rule is 'bayes'; expected one of dempster"),
        ({"activation": "tanh"}, "activation is 'tanh'; expected one of"),
        ({"failure_rate": 1.0}, "failure_rate is 1.0; expected 0 <= failure_rate < 1"),
        ({"conflict_weight": 1.0}, "set train_fused=True"),
        ({"max_evidence_share": 1.5}, "max_evidence_share is 1.5; expected a share, above 1 / K"),
        (
            {"max_evidence_share": 0.9, "activation": "softplus"},
            "activation is 'softplus'; leave one",
        ),
        ({"projected": True, "rule": "averaging"}, "rule is 'averaging'; leave one of them out"),
        (
            {"projected": True, "confidence": "one_minus_vacuity"},
            "leaves next to no vacuity, whatever the views know; choose another",
        ),
        ({"view_dropout": 1.0, "train_fused": True}, "view_dropout is 1.0; expected 0 <="),
        ({"view_dropout": 0.3}, "view_dropout thins the fused opinion; set train_fused=True"),
        ({"members": 0}, "members is 0; expected at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"input_noise": -1.0}, "input_noise is -1.0"),
        ({"hidden": 64}, "hidden is 64; expected a sequence of widths above 0"),
        ({"hidden": (0,)}, "hidden is .0,.; expected a sequence of widths above 0"),
        ({"confidence": "x"}, "confidence is 'x'; expected one of one_minus_vacuity"),
        ({"class_weight": "even"}, "class_weight is 'even'; expected None, 'balanced'"),
        ({"class_weight": {"0": 2.0}}, r"class_weight names '0'; expected some of \[0, 1\]"),
        ({"views": {}}, r"views are \[\] features wide, X has 3"),
        ({"schedule": "cosine"}, "schedule is .cosine.; expected one-cycle or constant"),
        ({"views": (1, 1)}, r"views are \[1, 1\] features wide, X has 3"),
        ({"views": {"a": [3]}}, r"view 'a' has the columns \[3\]; expected some of 0 to 2"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrustedClassifier(**options).fit(np.zeros((4, 3)), [0, 1, 0, 1])


@pytest.mark.slow
def test_views_that_do_not_fit_are_refused(fitted: TrustedClassifier) -> None:
    with pytest.raises(NotFittedError):
        TrustedClassifier().predict(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"views have .* samples; expected .* as many in each"):
        TrustedClassifier().fit([np.zeros((4, 3)), np.zeros((5, 3))], [0, 1, 0, 1])
    with pytest.raises(ValueError, match="views is set, but X comes as one array a view"):
        TrustedClassifier((3, 3)).fit([np.zeros((4, 3))] * 2, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="one class"):
        TrustedClassifier().fit(np.zeros((4, 3)), [1, 1, 1, 1])


@pytest.mark.slow
def test_widths_may_be_multiples_and_features_may_stay_as_they_are(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    options = {**QUICK, "hidden": (1.0, 0.5), "schedule": "constant", "learning_rate": 1e-3}
    model = TrustedClassifier(scale=False, **options).fit(train, labels)
    assert [tuple(w.shape) for w in model._networks[0].parameters()][::2] == [
        (1, 32, 32),
        (1, 32, 16),
        (1, 16, 10),
    ]
    values, _ = model._scaler.transform(np.concatenate([test["left"], test["right"]], 1))
    assert test["left"].max() > 10
    np.testing.assert_allclose(values[0].numpy(), test["left"], rtol=1e-6)
    assert model.score(test, truth) > 0.8


def test_a_run_of_ten_steps_learns_and_widths_may_be_numpys() -> None:
    # PyTorch's own schedule divides by the one step less one in which the rate would rise.
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 2
    table = rng.normal(labels[:, None] * 4.0, 1.0, (20, 3))
    options = {**QUICK, "epochs": 10, "hidden": np.array([8])}
    model = TrustedClassifier(**options).fit(table, labels)
    assert model._networks[0][0].weight.shape == (1, 3, 8)
    assert model.score(table, labels) > 0.8


@pytest.mark.slow
def test_a_new_fit_forgets_the_threshold_of_the_last(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    model = TrustedClassifier(**{**QUICK, "epochs": 3}).fit(train, labels)
    model.calibrate(test, truth)
    assert model.trusted(test).any()
    with pytest.raises(DataError, match=r"y has shape \(1,\); expected a label for each of"):
        model.calibrate(test, truth[:1])
    model.fit(train, labels)
    with pytest.raises(DataError, match="no threshold of trust is set"):
        model.trusted(test)


@given(
    here=arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 30))),
    share=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_views_left_out_are_some_of_those_present_and_never_the_last(
    here: Any, share: float
) -> None:
    torch.manual_seed(0)
    mask = torch.from_numpy(here)
    kept = drop_views(mask, share)
    assert not (kept & ~mask).any()
    assert (kept.any(0) == mask.any(0)).all()
    if not share:
        assert (kept == mask).all()


def test_views_are_left_out_as_often_as_asked() -> None:
    torch.manual_seed(0)
    kept = drop_views(torch.ones(2, 100_000, dtype=torch.bool), 0.3)
    # Both would be left out of 9 %: these keep both.
    expected = {(True, True): 0.49 + 0.09, (True, False): 0.21, (False, True): 0.21}
    for pair, share in expected.items():
        found = (kept == torch.tensor(pair)[:, None]).all(0).float().mean()
        assert float(found) == pytest.approx(share, abs=0.01)


def test_the_fused_loss_sees_thinned_views_and_each_view_all_samples() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 1, 40, 3), torch.arange(40)[None] % 3
    mask = torch.ones(2, 1, 40, dtype=torch.bool)
    model = TrustedClassifier(train_fused=True, view_dropout=0.5, failure_rate=0.0)
    model.view_names_, model._sample_weight = ["a", "b"], None
    torch.manual_seed(1)
    found = model._loss(logits, mask, target, target, 0.0)
    torch.manual_seed(1)
    kept = drop_views(mask[:, 0], 0.5)
    assert 0 < (~kept).sum() < 40
    p = (logits[:, 0].exp() + 1) / (logits[:, 0].exp() + 1).sum(-1, keepdim=True)
    evidence = torch.where(kept[..., None], logits[:, 0].exp(), 0.0)
    alpha = 3 * ((1 + evidence / 3).prod(0) - 1) + 1
    fused = alpha / alpha.sum(-1, keepdim=True)
    rows = torch.arange(40)
    expected = -sum(q[rows, target[0]].log().mean() for q in (fused, *p))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_view_dropout_helps_where_a_view_is_missing(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    options = {**QUICK, "train_fused": True, "epochs": 10}
    model = TrustedClassifier(view_dropout=0.4, **options).fit(train, labels)
    assert model.score(test, truth) > 0.9
    plain = TrustedClassifier(**options).fit(train, labels)
    assert np.abs(model.predict_proba(test) - plain.predict_proba(test)).max() > 1e-3


@pytest.mark.slow
def test_the_failure_rate_of_validation_data_is_the_likeliest_of_those_tried(
    halves: tuple[dict[str, Any], Any, dict[str, Any], Any],
) -> None:
    train, labels, test, truth = halves
    model = TrustedClassifier(**QUICK).fit(train, labels)
    plain = TrustedClassifier(**QUICK).fit(train, labels)
    # A third of the samples have a right half of someone else.
    mixed = {name: view.copy() for name, view in test.items()}
    mixed["right"][::3] = mixed["right"][::3][::-1]
    rates = {}
    for name, data in {"clean": test, "mixed": mixed}.items():
        rates[name] = model.choose_failure_rate(data, truth).failure_rate_
        losses = {}
        for rate in RATES:
            # Views learn alone, so that the rate changes nothing but answers.
            plain.failure_rate = rate
            losses[rate] = log_loss(truth, plain.predict_proba(data))
        assert rates[name] == min(losses, key=lambda rate: losses[rate])
    assert rates["clean"] < rates["mixed"]
    # It is what answers are made with, until the next fit; a threshold that was set before is gone.
    other = TrustedClassifier(**{**QUICK, "failure_rate": rates["mixed"]}).fit(train, labels)
    np.testing.assert_array_equal(model.predict_proba(test), other.predict_proba(test))
    model.calibrate(test, truth)
    model.choose_failure_rate(test, truth)
    with pytest.raises(DataError, match="no threshold of trust is set"):
        model.trusted(test)
    assert not hasattr(model.fit(train, labels), "failure_rate_")
    with pytest.raises(DataError, match="y holds 11, which the classifier was not trained on"):
        model.choose_failure_rate(test, truth * 0 + 11)
    with pytest.raises(DataError, match=r"y has shape \(1,\); expected a label for each of"):
        model.choose_failure_rate(test, truth[:1])


@pytest.mark.slow
def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import ter_fast\n"
        "try: ter_fast.TrustedClassifier\n"
        "except ter_fast.TerFastError as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    expected = "feature views need scikit-learn: pip install 'ter_fast[multiview]'\n"
    assert answer.stdout == expected
