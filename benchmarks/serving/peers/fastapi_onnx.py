"""FastAPI and ONNX Runtime as commonly written: one session, Pillow, FastAPI's thread pool."""

import os

import numpy as np
from fastapi import FastAPI, UploadFile
from PIL import Image

from benchmarks.serving.peers.graph import SIZE, open_session
from benchmarks.serving.peers.names import GRAPH

app = FastAPI()
session = open_session(os.environ[GRAPH])


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, list[float]]:
    """Probabilities of an uploaded image."""
    image = Image.open(file.file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    probabilities = session.run(["probabilities"], {"pixels": np.asarray(image)[None]})[0]
    return {"probabilities": probabilities[0].tolist()}
