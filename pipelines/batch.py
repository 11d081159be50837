"""From a folder or a bucket of images to a table of answers.

1. fetch  the package of the version in service, or of the one that is named
2. score  a row for each image: label, confidence and probabilities, or why it has none
"""

from kfp import dsl

from components.fetch import fetch
from components.report import report
from components.score import score


@dsl.pipeline(name="batch", description="From images or rows, here or in a bucket, to a table of answers")
def batch(
    task: str, images: str, format: str = "csv", version: str = "", output: str = "", overwrite: bool = False
):
    """The two steps above; neither is cached, because what is in service and the images change."""
    outcome = report(task=task).set_caching_options(False)

    with dsl.ExitHandler(outcome, name="run"):
        fetched = fetch(task=task, version=version, output=output, overwrite=overwrite)
        fetched.set_caching_options(False).set_cpu_request("1").set_memory_request("2Gi")

        scored = score(
            package=fetched.outputs["package"],
            images=images,
            format=format,
            output=output,
        )
        scored.set_caching_options(False).set_retry(2, backoff_duration="1s")
        scored.set_cpu_request("4").set_memory_request("4Gi")
