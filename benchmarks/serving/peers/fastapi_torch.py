"""FastAPI and PyTorch as commonly written: a plain function that FastAPI runs on its thread pool."""

from fastapi import FastAPI, UploadFile
from PIL import Image
from torch import no_grad

from benchmarks.serving.peers import network

app = FastAPI()
model = network.load()
transform = network.transform()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, list[float]]:
    """Probabilities of an uploaded image."""
    image = Image.open(file.file).convert("RGB")
    with no_grad():
        probabilities = model(transform(image).unsqueeze(0)).softmax(dim=1)
    return {"probabilities": probabilities[0].tolist()}
