"""Record how a run ended; the exit handler of every pipeline, so it also runs after a failure."""

from kfp.dsl import PipelineTaskFinalStatus

from components import component


@component
def report(task: str, status: PipelineTaskFinalStatus):
    from bonafide.registry.outcomes import record

    record(task, status.pipeline_job_resource_name, status.state, status.error_message or "")
