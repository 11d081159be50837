"""Asks a server with NVIDIA's tritonclient, REST and gRPC; runs in an interpreter that has it.

Arguments: REST host:port, gRPC host:port, model, its one version, folder of image files. Prints JSON: the
probabilities of all images by way of asking.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

OUTPUTS = ("probabilities", "label", "heatmap")


def ask(library, client, model, content, binary=None, **how):
    tensor = library.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([content], dtype=object))
    options = {} if binary is None else {"binary_data": binary}
    wanted = [library.InferRequestedOutput(name, **options) for name in OUTPUTS]
    answer = client.infer(model, [tensor], outputs=wanted, request_id="mine", **how)
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (1, 3)
    assert answer.as_numpy("heatmap").shape == (1, 4, 4)
    label = answer.as_numpy("label")[0]
    assert label in (b"red", b"green", b"blue", "red", "green", "blue"), label
    return probabilities[0].tolist()


def check(library, client, model, version):
    """Health, metadata and the repository; what is refused says so."""
    assert client.is_server_live()
    assert client.is_server_ready()
    for number in ("", version):
        assert client.is_model_ready(model, number)
        found = client.get_model_metadata(model, number)
        name, versions = (
            (found["name"], found["versions"]) if isinstance(found, dict) else (found.name, found.versions)
        )
        assert (name, list(versions)) == (model, [version])
    refusals = {
        "has no version '999'": lambda: client.get_model_metadata(model, "999"),
        "no model 'other'": lambda: client.get_model_metadata("other"),
        "exactly one": lambda: client.infer(model, []),
        "--repository-control": lambda: client.load_model(model),
    }
    if library is tritonclient.grpc:
        del refusals["--repository-control"]  # KServe's message has the name in another field than Triton's
    for reason, refused in refusals.items():
        try:
            refused()
        except InferenceServerException as error:
            assert reason in str(error), error
        else:
            raise AssertionError(f"{reason}: was not refused")


def main(rest, rpc, model, version, folder):
    contents = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    http, grpc = tritonclient.http.InferenceServerClient(rest), tritonclient.grpc.InferenceServerClient(rpc)
    check(tritonclient.http, http, model, version)
    check(tritonclient.grpc, grpc, model, version)
    assert "binary_tensor_data" in http.get_server_metadata()["extensions"]
    assert "binary_tensor_data" in grpc.get_server_metadata().extensions
    entry = {"name": model, "version": version, "state": "READY", "reason": ""}
    assert http.get_model_repository_index() == [entry]
    packed = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
    ways = {
        "grpc": (tritonclient.grpc, grpc, {}),
        "grpc, gzip": (tritonclient.grpc, grpc, {"compression_algorithm": "gzip", "model_version": version}),
        "rest, binary": (tritonclient.http, http, {}),
        "rest, JSON answer": (tritonclient.http, http, {"binary": False, "model_version": version}),
        "rest, gzip": (tritonclient.http, http, packed),
        "rest, deflate": (tritonclient.http, http, {"request_compression_algorithm": "deflate"}),
    }
    answers = {
        name: [ask(library, client, model, content, **how) for content in contents]
        for name, (library, client, how) in ways.items()
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
