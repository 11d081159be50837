"""Training a detector with Lightning: deterministic for a seed, resumable after a kill."""

import hashlib
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from bonafide.data.dataset import read_info
from bonafide.errors import DataError
from bonafide.files import lock
from bonafide.home import home
from bonafide.model import pretrained, vision  # noqa: F401  (before lightning, which imports torchvision)
from bonafide.model.architectures import Detector
from bonafide.model.augmentation import AUGMENTATIONS
from bonafide.model.calibration import fit_temperature, operating_thresholds
from bonafide.model.checkpoint import TrainingInfo, new_detector, save
from bonafide.model.decision import Decision, label_of
from bonafide.model.images import Images, in_order, shuffled
from bonafide.model.info import ImageInput
from bonafide.model.pretrained import Weights
from bonafide.model.run import Run
from bonafide.progress import Advance, progress
from bonafide.task import Model

import lightning  # isort: skip
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint  # isort: skip
from lightning.pytorch.loggers import MLFlowLogger  # isort: skip

LABEL_SMOOTHING = 0.05
WARM_UP = 0.2
GRADIENT_NORM = 5.0
PROBED = 256
LAST = "last.ckpt"


def train(dataset: Path, out: Path, config: Model, seed: int, run: Run | None = None) -> TrainingInfo:
    """Train on ``train``, choose the epoch and calibrate on ``val``, and write a checkpoint to ``out``.

    The checkpoint holds the ONNX graph too, so that what is evaluated is what is served.

    A killed training goes on from its last whole epoch when it is called again with the same arguments. Two
    with the same arguments wait for each other.

    Raises:
        DataError: ``dataset`` lacks a split, the weights to begin from cannot be had or do not fit, or the
            training diverged.
        PackageError: the graph does not answer as the detector does.
    """
    weights = pretrained.find(config)
    scratch = _scratch(read_info(dataset).digest, config, seed, weights)
    with lock(home() / "locks" / scratch.name):
        trained = _train(dataset, out, config, seed, weights, scratch, run)
        (scratch / LAST).unlink(missing_ok=True)  # first: without the others it is no state to go on from
        shutil.rmtree(scratch, ignore_errors=True)
    return trained


def _train(
    dataset: Path,
    out: Path,
    config: Model,
    seed: int,
    weights: Weights | None,
    scratch: Path,
    run: Run | None,
) -> TrainingInfo:
    info = read_info(dataset)
    lightning.seed_everything(seed, workers=True, verbose=False)
    training = Images(dataset, "train", config.input_size, AUGMENTATIONS.get(config.augmentation), seed)
    if config.shuffle_labels:
        training.labels = np.random.default_rng(seed).permutation(training.labels)
    validation = Images(dataset, "val", config.input_size)
    module = Training(config, info.labels, training, seed)
    if weights:
        pretrained.load(weights, module.detector.backbone)
    history = _fit(module, in_order(validation), scratch, run)
    detector = module.detector.eval()
    logits = _logits(detector, validation)
    if not np.isfinite(logits).all():
        raise DataError("the training diverged: scores are not finite; lower model.learning_rate")
    temperature = fit_temperature(logits, validation.labels)
    _fit_buffers(detector, Images(dataset, "train", config.input_size), temperature)
    probabilities = torch.from_numpy(logits / temperature).softmax(dim=1).numpy()
    thresholds = operating_thresholds(probabilities, validation.labels, info.labels, config.certain_precision)
    trained = TrainingInfo(
        labels=info.labels,
        architecture=config.architecture,
        input=ImageInput(size=config.input_size),
        embedding_size=detector.embedding_size,
        heatmap_size=detector.heatmap_size(),
        temperature=temperature,
        decision=Decision(thresholds=thresholds),
        pretrained=weights.origin if weights else None,
        data_digest=info.digest,
        run_id=run.id if run else None,
        model=config,
        seed=seed,
        parameters=sum(weights.numel() for weights in detector.parameters()),
        validation_accuracy=float((label_of(logits) == validation.labels).mean()),
        best_epoch=min(history, key=lambda row: row["val_loss"])["epoch"] if history else 0,
        history=tuple(history),
    )
    probe = np.stack([validation.pixels(index) for index in range(min(len(validation), PROBED))])
    return save(out, detector, trained, probe)


class Training(lightning.LightningModule):
    """AdamW with a one-cycle cosine schedule, class weights, smoothed labels."""

    def __init__(self, config: Model, labels: tuple[str, ...], images: Images, seed: int) -> None:
        super().__init__()
        self.detector = new_detector(labels, config)
        self.detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.images, self.seed = config, images, seed
        counts = np.bincount(images.labels, minlength=len(labels)).clip(1)
        self.register_buffer("weights", torch.from_numpy(len(images) / len(labels) / counts).float())

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:  # noqa: D102
        self.images.epoch = self.current_epoch
        return shuffled(self.images, self.config.batch_size, self.seed)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:  # noqa: D102
        pixels, labels = batch
        # Dropout draws from the global generator: tie it to the step, so that resuming changes nothing.
        torch.manual_seed(self.seed + self.global_step)
        weights = self.get_buffer("weights")
        loss = functional.cross_entropy(
            self.detector.logits(pixels), labels, weight=weights, label_smoothing=LABEL_SMOOTHING
        )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:  # noqa: D102
        pixels, labels = batch
        logits = self.detector.logits(pixels)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        self.log("val_loss", functional.cross_entropy(logits, labels), batch_size=len(labels))
        self.log("val_accuracy", accuracy, batch_size=len(labels))

    def configure_optimizers(self) -> Any:  # noqa: D102
        config = self.config
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        steps = config.epochs * len(shuffled(self.images, config.batch_size, self.seed))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, config.learning_rate, total_steps=steps, pct_start=WARM_UP
        )
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]


class _History(Callback):
    """One row of metrics an epoch; survives a resume because Lightning keeps callbacks' state."""

    def __init__(self, advance: Advance) -> None:
        self.rows: list[dict[str, float]] = []
        self._advance = advance

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        names = ("train_loss", "val_loss", "val_accuracy")
        row = {name: round(float(trainer.callback_metrics[name]), 5) for name in names}
        self.rows.append({"epoch": trainer.current_epoch, **row})
        self._advance(detail=f"validation accuracy {row['val_accuracy']:.3f}")

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
        self._advance(len(self.rows), detail="resumed")


def _fit(
    module: Training, validation: DataLoader[tuple[Tensor, int]], scratch: Path, run: Run | None
) -> list[dict[str, float]]:
    """Run Lightning and leave the weights of the epoch with the least validation loss in ``module``."""
    _quieten_lightning()
    best = ModelCheckpoint(
        scratch, "best", monitor="val_loss", save_weights_only=True, enable_version_counter=False
    )
    last = ModelCheckpoint(scratch, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    stop = EarlyStopping("val_loss", patience=module.config.patience)
    with progress("Training", module.config.epochs) as advance:
        history = _History(advance)
        trainer = lightning.Trainer(
            max_epochs=module.config.epochs,
            accelerator="auto",
            devices=1,
            precision="16-mixed" if torch.cuda.is_available() else "32-true",
            deterministic=True,
            gradient_clip_val=GRADIENT_NORM,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            logger=MLFlowLogger(tracking_uri=run.tracking_uri, run_id=run.id) if run else False,
            callbacks=[best, stop, history, last],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        resume = scratch / LAST
        trainer.fit(
            module,
            val_dataloaders=validation,
            ckpt_path=resume if resume.exists() else None,
            weights_only=True,
        )
    state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    module.load_state_dict(state)
    return history.rows


def _quieten_lightning() -> None:
    """Hide its notes on hardware, add-ons and its own deprecations; its errors still arrive."""
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _scratch(data_digest: str, config: Model, seed: int, weights: Weights | None) -> Path:
    identity = f"{data_digest} {config.model_dump_json()} {seed} {weights and weights.origin.digest}"
    return home() / "training" / hashlib.sha256(identity.encode()).hexdigest()[:16]


@torch.inference_mode()
def _logits(detector: Detector, images: Images) -> NDArray[np.float32]:
    batches = [detector.logits(pixels).numpy() for pixels, _ in in_order(images)]
    return np.concatenate(batches)


@torch.inference_mode()
def _fit_buffers(detector: Detector, training: Images, temperature: float) -> None:
    """Set the temperature, and the PCA of pooled features of the training images as they are."""
    from sklearn.decomposition import PCA

    pooled = np.concatenate(
        [detector.features(pixels).mean(dim=(2, 3)).numpy() for pixels, _ in in_order(training)]
    )
    size = min(*detector.get_buffer("projection").shape, len(pooled))
    pca = PCA(n_components=size, svd_solver="full").fit(pooled)
    detector.get_buffer("temperature").fill_(temperature)
    detector.get_buffer("projection_mean").copy_(torch.from_numpy(pca.mean_))
    detector.get_buffer("projection")[:size].copy_(torch.from_numpy(pca.components_))
