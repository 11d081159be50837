"""What KServe's agent does with a request to a predictor: see pkg/logger/handler.go and worker.go."""

import json
import uuid

import httpx

REQUEST, RESPONSE = (f"org.kubeflow.serving.inference.{kind}" for kind in ("request", "response"))


class Agent:
    """Passes a request on to a predictor and gives its answer and the events, which it does not send."""

    def __init__(self, predictor: str):
        self.predictor = predictor

    def pass_on(self, method: str, path: str, content: bytes = b"", **headers: str):
        """The answer, and the events as (headers, body): that of an answer only where it is a 200."""
        identity = headers.get("ce-id") or str(uuid.uuid4())
        with httpx.Client(base_url=self.predictor, timeout=30) as client:
            request = client.build_request(method, path, content=content, headers=headers)
            response = client.send(request, stream=True)
            raw = b"".join(response.iter_raw())
        kind = headers.get("content-type", "")
        events = [(event(identity, REQUEST, kind), content)]
        if response.status_code == 200:
            events.append((event(identity, RESPONSE, kind), raw))
        return response, events


def event(identity: str, kind: str, content_type: str) -> dict[str, str]:
    attributes = {
        "specversion": "1.0",
        "id": identity,
        "type": kind,
        "source": "http://localhost:9081/",
        "time": "2026-11-28T12:00:00Z",
        "inferenceservicename": "colour",
        "namespace": "bonafide-dev",
        "component": "predictor",
        "endpoint": "",
        "metadata": json.dumps({}),
    }
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    return headers | ({"content-type": content_type} if content_type else {})
