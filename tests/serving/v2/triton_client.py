"""Asks a server with NVIDIA's tritonclient, REST and gRPC; runs in an interpreter that has it.

Arguments: REST host:port, gRPC host:port, model, image files. Prints JSON: probabilities by way of asking.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http


def ask(library, client, model, contents, **how):
    tensor = library.InferInput("image", [len(contents)], "BYTES")
    tensor.set_data_from_numpy(np.array(contents, dtype=object))
    wanted = [library.InferRequestedOutput(name, **how) for name in ("probabilities", "label", "heatmap")]
    answer = client.infer(model, [tensor], outputs=wanted)
    return {name: answer.as_numpy(name).tolist() for name in ("probabilities", "heatmap")} | {
        "label": [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("label")]
    }


def main(rest, rpc, model, *images):
    contents = [Path(image).read_bytes() for image in images]
    http, grpc = tritonclient.http.InferenceServerClient(rest), tritonclient.grpc.InferenceServerClient(rpc)
    assert http.is_server_ready()
    assert http.is_model_ready(model)
    assert grpc.is_server_ready()
    assert grpc.get_model_metadata(model).name == model
    answers = {
        "grpc": ask(tritonclient.grpc, grpc, model, contents),
        "rest, binary": ask(tritonclient.http, http, model, contents),
        "rest, JSON answer": ask(tritonclient.http, http, model, contents, binary_data=False),
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
