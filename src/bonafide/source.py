"""What a task's ``source`` may say: one source, or a list of them. ``bonafide.sources`` reads each kind."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, TypeAdapter

from bonafide.config import Config
from bonafide.modality import Modality


class OneSource(Config):
    """One source, or a list of them, which become one dataset in their order.

    Groups of two sources that have the same name are two groups, unless the sources have the same
    ``namespace``.
    """

    namespace: Annotated[str, Field(max_length=64)] = ""


class ImageSource(OneSource):
    """Images, and the task's names for their labels.

    ``label_from`` says what is an image's label: its class, its source's name, or its generator's, which is
    ``none`` for a photograph.
    """

    labels: dict[str, str] = {}
    label_from: Literal["class", "source", "generator"] = "class"


class SampleSource(ImageSource):
    """The offline sample, built on the spot from photographs inside installed packages."""

    kind: Literal["sample"] = "sample"
    images: Annotated[int, Field(ge=30, le=100_000)] = 3600
    size: Annotated[int, Field(ge=32, le=256, multiple_of=8)] = 64


class FolderSource(ImageSource):
    """A folder with one sub-folder for each class, on disk or in a bucket.

    ``digest`` makes pipeline caching follow the content; the CLI fills it in.
    """

    kind: Literal["folder"] = "folder"
    path: str
    name: str = ""
    digest: str = ""


class ImageTableSource(ImageSource):
    """A table of images: which columns hold what."""

    image: str = "image"
    label: str = "label"
    generator: str = ""
    group: str = ""
    name: str = ""


class ParquetSource(ImageTableSource):
    """Parquet files with a column of images, as Hugging Face's datasets have them, on disk or in a bucket.

    ``digest`` makes pipeline caching follow the content; the CLI fills it in.
    """

    kind: Literal["parquet"] = "parquet"
    path: str
    digest: str = ""


class HuggingFaceSource(ImageTableSource):
    """A dataset on the Hugging Face Hub, at one revision, by its Parquet files.

    ``digest`` is the commit that the revision stood for; the CLI fills it in.
    """

    kind: Literal["huggingface"] = "huggingface"
    dataset: str
    revision: str = "main"
    path: str = ""
    digest: str = ""


class TabularSource(OneSource):
    """Rows of columns. ``columns`` says, by a feature's name, what the source calls it if that differs."""

    labels: dict[str, str] = {}
    columns: dict[str, str] = {}
    name: str = ""


class RowsSource(TabularSource):
    """CSV or Parquet files with a row for each example, on disk or in a bucket.

    ``digest`` makes pipeline caching follow the content; the CLI fills it in.
    """

    kind: Literal["rows"] = "rows"
    path: str
    label: str = "label"
    group: str = ""
    digest: str = ""


class ScikitLearnSource(TabularSource):
    """A dataset that scikit-learn ships, by its name: ``iris``, ``wine`` or ``breast_cancer``."""

    kind: Literal["scikit-learn"] = "scikit-learn"
    dataset: Literal["iris", "wine", "breast_cancer"]


class FeedbackSource(OneSource):
    """Images or rows that a served model was asked about and whose labels somebody confirmed.

    ``until`` and ``digest`` make pipeline caching follow the content; the CLI fills them in.
    """

    kind: Literal["feedback"] = "feedback"
    task: str
    labels: dict[str, str] = {}
    name: str = "feedback"
    until: str = ""
    digest: str = ""


def _how_many(source: Any) -> str:
    return "several" if isinstance(source, list | tuple) else "one"


Source = Annotated[
    SampleSource
    | FolderSource
    | ParquetSource
    | HuggingFaceSource
    | RowsSource
    | ScikitLearnSource
    | FeedbackSource,
    Field(discriminator="kind"),
]
Several = Annotated[tuple[Source, ...], Field(min_length=1)]
OneOrSeveral = Annotated[
    Annotated[Source, Tag("one")] | Annotated[Several, Tag("several")], Discriminator(_how_many)
]
MODALITIES: dict[Modality, tuple[str, ...]] = {
    "image": ("sample", "folder", "parquet", "huggingface", "feedback"),
    "table": ("rows", "scikit-learn", "feedback"),
}
GIVEN: dict[Modality, type[FolderSource] | type[RowsSource]] = {"image": FolderSource, "table": RowsSource}
"""What a place is that is given in place of a task's sources."""
KINDS = {each.model_fields["kind"].default: each for each in get_args(get_args(Source)[0])}


def parse_sources(content: list[dict[str, Any]]) -> tuple[Source, ...]:
    """The sources that ``content`` describes; the ``kind`` of each says which it is.

    Raises:
        ValidationError: none, no such kind, or settings that do not fit it.
    """
    sources: tuple[Source, ...] = TypeAdapter(Several).validate_python(content)
    return sources
