"""One verified package that answers."""

from collections.abc import Mapping, Sequence

from bonafide.model.info import ModelInfo
from bonafide.serving.answer import Answer, labelled
from bonafide.serving.compute.engine import Engine, Items
from bonafide.serving.compute.scheduler import Scheduler
from bonafide.serving.models.meters import Meters

DECIDED = ("label", "uncertain")


class Predictor:
    """One version of a model; the scheduler's threads do the work, so the event loop stays free.

    Attributes:
        name: of the model, which is the task's.
        shapes: the outputs in their order, each with the sizes behind N. ``label``, ``probabilities`` and
            ``uncertain``, by the package's rule (:mod:`bonafide.model.decision`), are always there;
            ``embedding`` and ``heatmap`` where the model has them.
        ready: whether it may be asked.
    """

    def __init__(self, engine: Engine, scheduler: Scheduler, version: str) -> None:
        self.name = engine.info.task
        self.version = version
        self.info = engine.info
        self.shapes = _shapes(engine.info)
        self.ready = False
        self._engine = engine
        self._scheduler = scheduler
        self._meters = Meters(self.name, version, engine.info.labels)

    def load(self) -> None:
        """Warm the engine; only then is the model ready."""
        self._engine.warm()
        self.ready = True

    async def answer(self, items: Items, outputs: Sequence[str]) -> Answer:
        """Score one or more items; cancelling gives up what has not begun.

        Args:
            outputs: names of ``shapes``.

        Raises:
            RequestError: an item is refused; the message names its index.
            Overloaded: there is too much to do.
        """
        wanted = ("probabilities", *(name for name in outputs if name not in (*DECIDED, "probabilities")))
        answered = await self._scheduler.run(self._engine, items, wanted)
        decided, found = labelled(self.info, answered.scores)
        self._meters.answered(answered, decided)
        given = {name: found[name] for name in outputs}
        return Answer(self.name, self.version, self.info.labels, given, columns=self.info.columns)


def _shapes(info: ModelInfo) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"label": (), "probabilities": (len(info.labels),), "uncertain": ()}
    if info.embedding_size is not None:
        shapes["embedding"] = (info.embedding_size,)
    if info.heatmap_size is not None:
        shapes["heatmap"] = info.heatmap_size
    return shapes
