import numpy as np
import pytest

from bonafide.drift.mix import Known, Mixture, entropy
from bonafide.errors import DataError
from tests.drift import world
from tests.drift.world import EVEN, SKEWED, draw

RUNS, LEVEL = 60, 0.05
MOST = 8  # of 60 at 5 %: more come up in 0.2 % of cases


def mixture(random, mix, moved=0.0, apart=world.APART, count=300):
    known, label, probabilities = draw(random, 400, apart=apart)
    window, _, answers = draw(random, count, mix, moved, apart)
    made = Mixture(Known(probabilities, label, np.arange(400)), answers, seed=1)
    return made, (known, window), (entropy(probabilities), entropy(answers))


def test_shares_are_known_within_their_intervals(random):
    covered = []
    for _ in range(RUNS):
        table = mixture(random, SKEWED)[0].table()
        covered += [share.low <= truth <= share.high for share, truth in zip(table, SKEWED, strict=True)]
    assert np.mean(covered) > 0.88
    assert sum(share.window for share in table) == pytest.approx(1, abs=0.02)
    assert [share.reference for share in table] == pytest.approx(EVEN, abs=0.1)


@pytest.mark.parametrize("apart", [0.7, 2.5], ids=["half are wrong", "few are wrong"])
@pytest.mark.parametrize("mix", [EVEN, SKEWED, (0.0, 0.1, 0.9)])
def test_another_mix_alone_is_no_change_of_looks(random, mix, apart):
    """Also where the model is often wrong, and where a class is gone."""
    found = np.zeros(3)
    for _ in range(RUNS):
        made, embeddings, entropies = mixture(random, mix, apart=apart)
        values = made.mmd(*embeddings), made.ks(*embeddings), made.ks(*entropies)
        found += np.array(values) <= LEVEL
    assert (found <= MOST).all(), found


@pytest.mark.parametrize("mix", [EVEN, SKEWED])
def test_other_looks_are_found_whatever_the_mix(random, mix):
    made, embeddings, _ = mixture(random, mix, moved=0.6)
    assert made.mmd(*embeddings) <= 0.01
    assert made.ks(*embeddings) <= 0.01


def test_groups_of_the_reference_share_their_luck(random):
    """20 groups that differ: as a sample of single images the reference would be taken for too sure."""
    alone, groups = np.arange(400), np.arange(400) % 20
    found = {"alone": 0, "grouped": 0}
    for _ in range(RUNS):
        _, label, probabilities = draw(random, 400)
        _, _, answers = draw(random, 300)
        brightness = random.normal(0, 1, 20)[groups] + random.normal(0, 1, 400)
        others = random.normal(0, 1, 300) + random.normal(0, 1, 300)
        for name, group in (("alone", alone), ("grouped", groups)):
            made = Mixture(Known(probabilities, label, group), answers, seed=1)
            found[name] += made.ks(brightness[:, None], others[:, None]) <= LEVEL
    assert found["grouped"] <= MOST < found["alone"]


def test_few_groups_of_a_label_are_not_taken_for_too_sure(random):
    """Of a model that is always right: the mean of three groups spreads as their own variance says."""
    label, group = np.repeat([0, 1], [40, 30]), np.concatenate([np.arange(40), 40 + np.arange(30) % 3])
    values = np.where(label, np.array([-1.0, 0.5, 2.0])[group % 3 - 1], 0)
    answers = np.eye(2, dtype=np.float32)[np.repeat([0, 1], 100)]
    made = Mixture(Known(np.eye(2, dtype=np.float32)[label], label, group), answers, seed=1)
    spread = np.concatenate([values, np.zeros(200)]) @ made.drawn
    assert spread.std() == pytest.approx(0.5 * np.std([-1, 0.5, 2], ddof=1) / np.sqrt(3), rel=0.08)


def test_the_same_seed_gives_the_same_answer(random):
    known, label, probabilities = draw(random, 200)
    window, _, answers = draw(random, 200)
    both = [Mixture(Known(probabilities, label, np.arange(200)), answers, seed) for seed in (3, 3)]
    assert both[0].mmd(known, window) == both[1].mmd(known, window)


def test_what_is_constant_tells_nothing(random):
    made, (known, window), _ = mixture(random, SKEWED)
    assert made.ks(np.ones_like(known), np.ones_like(window)) == 1


def test_labels_that_the_model_cannot_tell_apart_have_no_shares(random):
    probabilities = np.full((300, 3), 1 / 3, np.float32)
    with pytest.raises(DataError, match="train a better one"):
        Mixture(Known(probabilities, np.arange(300) % 3, np.arange(300)), probabilities, seed=1)
