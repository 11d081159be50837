from itertools import pairwise, product

from bonafide.serving.models.meters import Meters, counted
from bonafide.telemetry import metrics
from bonafide.telemetry.logs import protocol


def samples(metric, **labels):
    [family] = metric.collect()
    return [sample for sample in family.samples if labels.items() <= sample.labels.items()]


def test_every_series_of_a_version_is_there_before_its_first_request():
    labels = {"model": "meters", "version": "1"}
    Meters("meters", "1", ("real", "ai-generated"))
    requests = [each for each in samples(metrics.REQUESTS, **labels) if each.name.endswith("_total")]
    found = {(each.labels["protocol"], each.labels["outcome"]) for each in requests}
    assert found == set(product(metrics.PROTOCOLS, metrics.OUTCOMES))
    kept = (
        metrics.REQUESTS,
        metrics.STAGE_SECONDS,
        metrics.PREDICTIONS,
        metrics.UNCERTAIN,
        metrics.CONFIDENCE,
    )
    for metric in kept:
        counts = [each.value for each in samples(metric, **labels) if not each.name.endswith("_created")]
        assert counts
        assert set(counts) == {0}
    for stage in metrics.STAGES:
        assert samples(metrics.STAGE_SECONDS, **labels, stage=stage, le="+Inf")


def test_a_request_makes_no_series_of_its_own():
    labels = {"model": "meters", "version": "2"}
    Meters("meters", "2", ("real",))
    before = [(each.name, each.labels) for each in samples(metrics.REQUESTS, **labels)]
    token = protocol.set("grpc")
    with counted("meters", "2"):
        pass
    protocol.reset(token)
    assert [(each.name, each.labels) for each in samples(metrics.REQUESTS, **labels)] == before
    [ok] = samples(metrics.REQUESTS, **labels, protocol="grpc", outcome="ok")[:1]
    assert ok.value == 1


def test_bounds_of_stages_are_close_where_models_work():
    metrics.STAGE_SECONDS.labels("meters", "3", "infer")
    infer = samples(metrics.STAGE_SECONDS, version="3", stage="infer")
    bounds = [float(each.labels["le"]) for each in infer if "le" in each.labels][:-1]
    assert {0.005, 0.5} <= set(bounds)
    fine = [bound for bound in bounds if 0.005 <= bound <= 0.5]
    assert max(after / before for before, after in pairwise(fine)) <= 1.2
    assert (bounds[0], bounds[-1]) == (0.001, 10)
