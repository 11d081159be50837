import itertools
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bonafide.errors import ConfigError
from bonafide.source import FolderSource, SampleSource, parse_sources
from bonafide.task import Task, load_task, parse_model

SHIPPED = sorted(path.stem for path in (Path(__file__).parents[1] / "tasks").glob("*.yaml"))
MODEL = ["model", "model.architecture", "model.epochs", "model.learning_rate", "model.augmentation"]
SOURCE = ["source", "source.kind", "source.images", "source.path"]
SPLIT = ["split", "split.val", "split.test", "split.held_out_generators"]
GATE = ["gate", "gate.recall", "gate.recall.real", "gate.ece", "gate.latency_ms"]
KEYS = ["name", "title", "labels", "modality", "seed", *SOURCE, "validation", *SPLIT, *MODEL, *GATE]
NUMBERS = ["0", "-1", "3", "0.5", ".nan", ".inf", "1e400", "1e-400", "9999999999999999999"]

atoms = st.one_of(st.sampled_from([*NUMBERS, "true", "~", "real", "sample", "folder"]), st.text(max_size=12))
values = st.one_of(
    atoms,
    st.lists(atoms, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    st.lists(st.tuples(atoms, atoms), max_size=3).map(
        lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
    ),
)
keys = st.one_of(st.sampled_from(KEYS), st.lists(st.sampled_from(KEYS), max_size=3).map(".".join), st.text())
overrides = st.one_of(st.text(), st.tuples(keys, values).map("=".join))


@pytest.fixture
def write(tmp_path):
    def write_task(content: bytes | str) -> str:
        path = tmp_path / "task.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write_task


def test_a_minimal_task_has_defaults(write):
    task = load_task(write("{name: pets, title: Pets, labels: [cat, dog]}"))
    assert task.labels == ("cat", "dog")
    assert task.source == SampleSource()
    assert task.gate.accuracy == 0.85
    with pytest.raises(ValueError, match="frozen"):
        task.seed = 3


def test_overrides_are_applied_in_order_and_typed():
    task = load_task(
        "authenticity",
        [
            "model.epochs=7",
            "model.epochs=3",
            "model.augmentation=none",
            "gate.recall.deepfake=0.5",
            "source={kind: folder, path: /x}",
            "title=a=b",
        ],
    )
    assert (task.model.epochs, task.model.augmentation, task.gate.recall) == (3, "none", {"deepfake": 0.5})
    assert task.source == FolderSource(path="/x")
    assert task.title == "a=b"
    assert task.model.batch_size == load_task("authenticity").model.batch_size


@pytest.mark.parametrize(
    ("override", "unknown", "nearest"),
    [
        ("lables=[a]", "lables", "labels"),
        ("model.epoch=3", "model.epoch", "model.epochs"),
        ("gate.acuracy=0.9", "gate.acuracy", "gate.accuracy"),
        ("modle.epochs=3", "modle", "model"),
    ],
)
def test_an_unknown_key_names_the_nearest(override, unknown, nearest):
    with pytest.raises(ConfigError, match=f"unknown key '{unknown}'; did you mean '{nearest}'"):
        load_task("authenticity", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.epochs", "write it as key=value"),
        ("model.epochs=0", "model.epochs: .*greater than or equal to 1"),
        ("model.epochs=many", "model.epochs: .*valid integer"),
        ("model.architecture=vgg", "model.architecture: .*'forensic_cnn'"),
        ("model.weights=imagenet", "model: .*no ImageNet weights; say none, or name a file"),
        ("model.weights=imagent", "model.weights: .*none|imagenet"),
        ("model.weights=weights.bin", "model.weights: .*safetensors|pth"),
        ("gate.accuracy=.nan", "gate.accuracy"),
        ("gate.recall.cat=0.5", r"gate.recall: \['cat'\] not among the labels"),
        ("gate.f1.cat=0.5", r"gate.f1: \['cat'\] not among the labels"),
        ("labels=[real]", "labels: .*at least 2"),
        ("labels=[real, real]", "each label may stand once"),
        ("split.val=0.9", "must be below 1"),
        ("split.test=0", "val and test must be above 0"),
        ("source.size=33", "source.size: .*multiple of 8"),
        ("source.kind=web", "'sample', 'folder'"),
        ("name=Not A Name", "name: .*pattern"),
        ("seed.x=1", "seed is a value, not a section"),
        ("model=3", "model: .*valid dictionary"),
        ("model=[", "no valid YAML value"),
    ],
)
def test_a_bad_override_is_refused_with_a_reason(override, message):
    with pytest.raises(ConfigError, match=message):
        load_task("authenticity", [override])


def test_every_problem_is_told_at_once():
    with pytest.raises(ConfigError, match=r"(?s)model.epochs.*gate.accuracy"):
        load_task("authenticity", ["model.epochs=0", "gate.accuracy=2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must hold a mapping"),
        ("- a", "must hold a mapping"),
        ("name: [", "no valid YAML"),
        ("{name: x}", "title: Field required; labels: Field required"),
        ("{1: x, name: x, title: x, labels: [a, b]}", "1: "),
    ],
)
def test_a_file_that_is_no_task_is_refused(write, content, message):
    with pytest.raises(ConfigError, match=message):
        load_task(write(content))


@pytest.mark.parametrize("content", [b"name: \xe9", b"seed: 2001-99-99"])
def test_a_file_that_breaks_the_yaml_reader_is_refused(write, content):
    with pytest.raises(ConfigError):
        load_task(write(content))


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"no task 'nothing': .*tasks/nothing.yaml.*authenticity"):
        load_task("nothing")


def test_a_task_is_found_beside_the_user_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "authenticity.yaml").write_text("{name: mine, title: Mine, labels: [a, b]}")
    assert load_task("authenticity").name == "mine"


@settings(max_examples=300, deadline=None)
@given(st.lists(overrides, max_size=2))
@example(["=x"])
@example(["labels=&a [*a]"])
@example(["model..epochs=1"])
@example(["gate={1: 2}"])
@example(["source.kind=[]"])
def test_any_override_gives_a_task_or_a_readable_error(given_overrides):
    try:
        task = load_task("authenticity", given_overrides)
    except ConfigError as error:
        assert str(error)
    else:
        assert Task.model_validate(task.model_dump()) == task


@pytest.mark.parametrize("value", ["2001-99-99", "0x_", "!!int x", "!!bool x", "!!timestamp x", "[" * 5000])
def test_a_value_that_breaks_the_yaml_reader_is_refused(value):
    with pytest.raises(ConfigError):
        load_task("authenticity", [f"seed={value}"])


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(ConfigError, match="seed"):
        load_task("authenticity", [f"seed={seed}"])


def test_a_source_goes_through_json_and_back():
    for source in (SampleSource(images=60), FolderSource(path="/x", digest="1")):
        assert parse_sources([source.model_dump(mode="json")]) == (source,)
    for content in ({}, {"kind": "web"}, {"kind": "folder"}, {"kind": "sample", "path": "x"}):
        with pytest.raises(ValueError):
            parse_sources([content])
    with pytest.raises(ValueError):
        parse_sources([])


def test_a_task_may_have_several_sources():
    task = load_task("authenticity", ["source=[{kind: sample}, {kind: folder, path: /x}]"])
    assert task.source == task.sources == (SampleSource(), FolderSource(path="/x"))
    one = load_task("authenticity", ["source={kind: folder, path: /x}"])
    assert (one.source,) == one.sources == (FolderSource(path="/x"),)
    with pytest.raises(ConfigError, match=r"source.1.path: Field required"):
        load_task("authenticity", ["source=[{kind: sample}, {kind: folder}]"])
    with pytest.raises(ConfigError, match=r"source: .*at least 1 item"):
        load_task("authenticity", ["source=[]"])


@pytest.mark.parametrize(
    ("source", "key", "has"),
    [
        (
            "{imags: 90, kind: sample}",
            "source.imags",
            "sample has namespace, labels, .*, images, size",
        ),
        ("[{kind: sample}, {kind: folder, path: /x, dataset: x}]", "source.1.dataset", "folder has .*path"),
        ("[{kind: folder, path: /x, sample: 3}]", "source.0.sample", "folder has .*path"),
    ],
)
def test_an_unknown_key_of_a_source_names_those_of_its_kind(source, key, has):
    with pytest.raises(ConfigError, match=f"unknown key '{key}'; a source of kind {has}") as refused:
        load_task("authenticity", [f"source={source}"])
    assert "did you mean" not in str(refused.value)
    assert " revision" not in str(refused.value)


def test_a_label_that_is_named_like_a_kind_of_source_is_told():
    with pytest.raises(ConfigError, match=r"source.labels.sample: "):
        load_task("authenticity", ["source={kind: folder, path: /x, labels: {sample: 3}}"])


@pytest.mark.parametrize("groups", ["A group is one animal", "a group is one animal.", " A group.", ""])
def test_what_a_group_is_stands_as_a_whole_sentence(groups):
    assert load_task("authenticity").groups.startswith("A group is a region of a photograph")
    with pytest.raises(ConfigError, match=r"groups: .*write a whole sentence"):
        load_task("authenticity", [f"groups={groups!r}"])


@pytest.mark.parametrize("name", SHIPPED)
def test_a_task_that_ships_says_what_it_is_for_and_what_it_cannot_do(name):
    task = load_task(name)
    assert task.name == name
    assert task.card.intended_use and task.card.out_of_scope and task.card.limitations and task.card.tags
    renamed = {name for source in task.sources for name in getattr(source, "labels", {}).values()}
    assert renamed <= set(task.labels)


def test_split_fractions_leave_training_data():
    for val, test, holdout in itertools.product((0.1, 0.5), (0.1, 0.5), (0.0, 0.4)):
        given_overrides = [f"split.val={val}", f"split.test={test}", f"split.holdout={holdout}"]
        if val + test + holdout < 1:
            assert load_task("authenticity", given_overrides).split.val == val
        else:
            with pytest.raises(ConfigError, match="nothing is left to train on"):
                load_task("authenticity", given_overrides)


TABLE = "{name: t, title: T, labels: [a, b], modality: table, features: [{name: x}]"
TABLE += ", source: {kind: rows, path: p}"


def test_a_key_of_another_kind_of_model_is_not_suggested(write):
    with pytest.raises(ConfigError, match=r"unknown key 'model\.epochs'; did you mean 'model\.c") as refused:
        load_task(write(TABLE + ", model: {architecture: random_forest, epochs: 3}}"))
    assert "estimator" not in str(refused.value)


@pytest.mark.parametrize("more", ["gate: {robustness: 0.5}", "split: {held_out_generators: [g]}"])
def test_what_only_images_have_is_refused_for_a_table(write, more):
    with pytest.raises(ConfigError, match="rows"):
        load_task(write(TABLE + ", model: {architecture: random_forest}, " + more + "}"))


@pytest.mark.parametrize(
    ("architecture", "own"),
    [
        ("logistic_regression", {"c"}),
        ("random_forest", {"n_estimators", "max_depth"}),
        ("gradient_boosting", {"n_estimators", "max_depth", "learning_rate"}),
    ],
)
def test_an_estimator_goes_by_its_own_settings(architecture, own):
    every = {"architecture", "certain_precision", "shuffle_labels"}
    assert parse_model({"architecture": architecture}).applied.keys() == every | own


def test_a_misspelt_estimator_is_told_those_for_tables():
    with pytest.raises(ConfigError, match=r"model.architecture: 'svm' does not take a table; tables take"):
        load_task("iris", ["model={architecture: svm}"])
