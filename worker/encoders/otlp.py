"""`otlp`: messages of OpenTelemetry, each behind its length. Source: docs/formats.md, "OpenTelemetry"."""

from common.plan import EntryPlan, ReplayRows
from common.specs import LogTemplate
from common.specs import OtlpEncoder as Spec
from worker.encoders.otlp_logs import OtlpLogFrames
from worker.encoders.otlp_points import OtlpPointFrames


def build(plan: EntryPlan, spec: Spec) -> OtlpPointFrames | OtlpLogFrames:
    """Return the encoder of `plan` under `spec`."""
    if isinstance(plan.generator, LogTemplate | ReplayRows):
        return OtlpLogFrames(plan, plan.generator)
    return OtlpPointFrames(plan, spec.temporality)
