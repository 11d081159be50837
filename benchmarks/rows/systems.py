"""The servers that are compared."""

from benchmarks.rows.subject import TASK
from benchmarks.serving.systems import MLSERVER, PREDICT, SHIPPED, System, api, bonafide, mlserver

OURS, API = "Bonafide, v2", "Bonafide service API"
V2 = f"http://127.0.0.1:{{0}}/v2/models/{TASK}/infer"


def _mlserver(workers: int) -> System:
    name = "MLServer" if workers else "MLServer, without a worker process"
    start = mlserver(model=TASK, runtime="mlserver_rows", debug=False, parallel_workers=workers)
    return System(name, start, "v2 row", V2, "mlserver", MLSERVER)


SYSTEMS = (
    System(OURS, bonafide, "v2 row", V2, "bonafide", SHIPPED),
    System(API, api, "api row", PREDICT, "bonafide", SHIPPED),
    _mlserver(workers=1),  # as it comes
    _mlserver(workers=0),
)
