"""The page of metrics."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from bridge import metrics as bridge
from s3proxy import metrics as s3proxy
from scripts.reference.markdown import code, codes, page, section, sentence, table

_UNITS = {"timestamp_seconds": "seconds of the epoch", "seconds": "seconds", "bytes": "bytes"}


def metrics_page() -> str:
    """Return the page."""
    registry = s3proxy.Metrics().registry
    s3proxy.worker_restarts(registry)
    return page(
        "Metrics",
        """
`/metrics` of the health port, in the text format of Prometheus. A counter ends in `_total`, a histogram has `_bucket`,
`_sum` and `_count`. Nothing that a caller can make up is ever in a label. With several processes of the proxy its
counters and histograms are the sums of all, those that have ended included.
""",
        section("Of the bridge", _metrics(bridge.Metrics().registry, "strongroom_bridge_", bridge.WATCH)),
        section("Of the S3 proxy", _metrics(registry, "strongroom_s3proxy_", s3proxy.WATCH)),
    )


def metrics_of(registry: CollectorRegistry) -> list[MetricWrapperBase]:
    """Return the metrics of a registry, by name."""
    collectors = registry._collector_to_names  # noqa: SLF001 - what it collects has no labels yet
    found = {one for one in collectors if isinstance(one, MetricWrapperBase)}
    return sorted(found, key=name_of)


def name_of(metric: MetricWrapperBase) -> str:
    """Return the name of a metric, a counter's without ``_total``."""
    return str(metric._name)  # noqa: SLF001 - as above


def _metrics(registry: CollectorRegistry, prefix: str, watch: Mapping[str, str]) -> str:
    rows = [
        (
            code(name_of(metric) + ("_total" if metric._type == "counter" else "")),  # noqa: SLF001 - as above
            str(metric._type),  # noqa: SLF001 - as above
            codes(metric._labelnames),  # noqa: SLF001 - as above
            next((unit for end, unit in _UNITS.items() if name_of(metric).endswith(end)), "number"),
            metric._documentation,  # noqa: SLF001 - as above
            sentence(watch[name_of(metric).removeprefix(prefix)]),
        )
        for metric in metrics_of(registry)
    ]
    return table(("metric", "type", "labels", "unit", "meaning", "watch for"), rows)
