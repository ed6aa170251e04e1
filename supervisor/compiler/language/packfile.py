"""Pack files: their fields, and how an extension is folded onto its base.

Source: docs/scenarios.md, "Packs".
"""

from collections import Counter
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from common.errors import DecodeError
from common.specs import U32, Spec
from common.units import clip
from supervisor.compiler.language.blocks import MAX_ENTRIES, MAX_TAGS, LabelMap
from supervisor.compiler.language.kinds import GeneratorConfig
from supervisor.reading.decode import decode
from supervisor.reading.messages import Unknown, unknown_text
from supervisor.reading.nodes import MappingNode
from supervisor.reading.yaml_text import read_yaml


class EnumHint(Spec, frozen=True, kw_only=True):
    """A value type that names its codes."""

    enum: dict[str, str]


class GnmiHint(Spec, frozen=True, kw_only=True):
    """Where a metric stands in a device's model; used by the gnmi encoder alone."""

    path: str
    value: str | EnumHint


class SnmpHint(Spec, frozen=True, kw_only=True):
    """The object that a metric or a label is; used by the snmp encoder alone."""

    oid: str
    type: str | EnumHint


class PackMetric(Spec, frozen=True, kw_only=True):
    """One metric of a pack; `id` tells metrics of one name apart."""

    name: str
    id: str | None = None
    labels: LabelMap | None = None
    generator: GeneratorConfig | None = None
    gnmi: GnmiHint | None = None
    snmp: SnmpHint | None = None

    @property
    def selector(self) -> str:
        """How lists and ids call the metric."""
        return self.name if self.id is None else f"{self.name}.{self.id}"


class Replacement(Spec, frozen=True, kw_only=True):
    """What a deviation puts in the place of the base's; what it omits is inherited."""

    generator: GeneratorConfig | None = None
    labels: LabelMap | None = None


class Deviation(Spec, frozen=True, kw_only=True):
    """A change to a metric of the base: replaced in part, or not there."""

    metric: str
    replace: Replacement | None = None
    not_supported: bool = False


class PackFile(Spec, frozen=True, kw_only=True):
    """A reusable group of metrics; the last four fields are for the catalog."""

    name: str
    description: str
    category: str
    extends: str | None = None
    shared_labels: LabelMap | None = None
    metrics: Annotated[tuple[PackMetric, ...] | None, Meta(max_length=MAX_ENTRIES)] = None
    deviations: Annotated[tuple[Deviation, ...] | None, Meta(max_length=MAX_ENTRIES)] = None
    snmp_label_columns: dict[str, str | SnmpHint] | None = None
    version: U32 | None = None
    kind: str | None = None
    tags: Annotated[tuple[str, ...], Meta(max_length=MAX_TAGS)] = ()
    scenario_name: str | None = None


def parse_pack(text: str) -> tuple[PackFile, list[Unknown]]:
    """Return the pack that a YAML text defines, and the keys in it that nobody knows.

    References to the environment are not read.

    Raises:
        DecodeError: the text is no pack.
    """
    root = read_yaml(text)
    if not isinstance(root, MappingNode):
        raise DecodeError("a pack is a mapping")
    return decode(root, PackFile)


def decode_pack(root: MappingNode) -> PackFile:
    """Return the pack in a document.

    Raises:
        DecodeError: a field is missing, unknown or of another type.
    """
    pack, unknown = decode(root, PackFile)
    if unknown:
        raise DecodeError(unknown_text(unknown))
    return pack


class Selectors:
    """The metrics of a pack by every form that addresses exactly one of them."""

    def __init__(self, pack: PackFile) -> None:
        metrics = pack.metrics or ()
        self._by_form = {metric.selector: metric for metric in metrics}
        self.sharing: dict[str, list[str]] = {}
        for metric in metrics:
            self.sharing.setdefault(metric.name, []).append(metric.selector)
        self._by_form |= {metric.name: metric for metric in metrics if len(self.sharing[metric.name]) == 1}

    def find(self, selector: str) -> PackMetric | None:
        """Return the one metric that `selector` addresses, or None."""
        return self._by_form.get(selector)


def check_addressable(pack: PackFile) -> None:
    """Raise DecodeError when a selector could mean two metrics of the pack, or none."""
    metrics = pack.metrics or ()
    said = f"pack '{clip(pack.name)}': "
    for metric in metrics:
        if "." in metric.name:
            raise DecodeError(
                f"{said}metric name '{clip(metric.name)}' contains '.', which separates a selector's name from its id; "
                "Prometheus metric names cannot contain '.' either"
            )
    counts = Counter(metric.name for metric in metrics)
    for name in sorted(name for name, count in counts.items() if count > 1):
        _check_namesakes(said, [metric for metric in metrics if metric.name == name])


def _check_namesakes(said: str, metrics: list[PackMetric]) -> None:
    name = clip(metrics[0].name)
    without_id = sum(metric.id is None for metric in metrics)
    if without_id:
        raise DecodeError(
            f"{said}metric name '{name}' appears {len(metrics)} times, so every one of them needs a unique `id:` to be "
            f"addressable; {without_id} declare none"
        )
    (commonest, uses), *_ = Counter(metric.id for metric in metrics).most_common()
    if uses > 1:
        raise DecodeError(f"{said}metric '{name}' declares id '{clip(str(commonest))}' more than once")
    for hint in ("gnmi", "snmp"):
        given = [getattr(metric, hint) for metric in metrics if getattr(metric, hint) is not None]
        if any(other != given[0] for other in given):
            raise DecodeError(
                f"{said}metric name '{name}' carries different `{hint}:` hints; specs sharing a name must carry the "
                "same hint or none"
            )


def fold(base: PackFile, extension: PackFile) -> PackFile:
    """Return the base with the extension's deviations applied and its metrics added; neither is changed.

    Args:
        base: addressable, its own base folded in already.
        extension: what extends it.

    Raises:
        DecodeError: a deviation or an added metric does not fit the base.
    """
    said = f"pack '{clip(extension.name)}': "
    targets = _deviations_by_selector(said, base, extension)
    present = {metric.selector for metric in base.metrics or ()}
    for metric in extension.metrics or ():
        if metric.selector in present:
            raise DecodeError(
                f"{said}metric '{clip(metric.selector)}' is already declared by base '{clip(base.name)}'; `metrics:` "
                "only adds — use a deviation to change it"
            )
    metrics: list[PackMetric] = []
    for metric in base.metrics or ():
        deviation = targets.get(metric.selector)
        if deviation is None:
            metrics.append(metric)
        elif deviation.replace is not None and not deviation.not_supported:
            changes: dict[str, Any] = {
                field: value
                for field in ("generator", "labels")
                if (value := getattr(deviation.replace, field)) is not None
            }
            metrics.append(msgspec.structs.replace(metric, **changes))
    return msgspec.structs.replace(
        extension,
        extends=None,
        deviations=None,
        shared_labels=(base.shared_labels or {}) | (extension.shared_labels or {}),
        snmp_label_columns=(base.snmp_label_columns or {}) | (extension.snmp_label_columns or {}),
        metrics=(*metrics, *(extension.metrics or ())),
    )


def _deviations_by_selector(said: str, base: PackFile, extension: PackFile) -> dict[str, Deviation]:
    selectors = Selectors(base)
    targets: dict[str, Deviation] = {}
    for deviation in extension.deviations or ():
        replaces = deviation.replace is not None and deviation.replace != Replacement()
        if replaces == deviation.not_supported:
            raise DecodeError(
                f"{said}deviation on '{clip(deviation.metric)}' must give exactly one of `replace:` or "
                f"`not_supported: true`, not {'both' if replaces else 'neither'}"
            )
        metric = selectors.find(deviation.metric)
        if metric is None:
            available = ", ".join(other.selector for other in base.metrics or ())
            raise DecodeError(
                f"{said}deviation selector '{clip(deviation.metric)}' matches no metric in base '{clip(base.name)}'; "
                f"available: {available}"
            )
        if metric.selector in targets:
            raise DecodeError(f"{said}two deviations address metric '{clip(metric.selector)}'")
        targets[metric.selector] = deviation
    return targets
