import ast

from prometheus_client import CollectorRegistry

from bridge import metrics as bridge
from s3proxy import metrics as s3proxy
from scripts.reference.metrics import metrics_of, name_of
from tests.cli.emitted import sources
from tests.support.tree import ROOT

KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}


def names(registry: CollectorRegistry, prefix: str) -> set[str]:
    return {name_of(metric).removeprefix(prefix) for metric in metrics_of(registry)}


def test_of_each_metric_it_is_said_what_to_watch_for() -> None:
    registry = s3proxy.Metrics().registry
    s3proxy.worker_restarts(registry)
    assert names(registry, "strongroom_s3proxy_") == s3proxy.WATCH.keys()
    assert names(bridge.Metrics().registry, "strongroom_bridge_") == bridge.WATCH.keys()
    assert all(metric._documentation for metric in metrics_of(registry))


def test_no_other_module_makes_metrics() -> None:
    """Others may be given one to write into, and name its type."""
    makers = set()
    for path, tree in sources():
        nodes = list(ast.walk(tree))
        called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client"):
                kinds = {name.asname or name.name for name in node.names if name.name in KINDS}
                makers |= {str(path.relative_to(ROOT)) for _ in kinds & called}
            if isinstance(node, ast.Import) and any(name.name.startswith("prometheus_client") for name in node.names):
                makers.add(str(path.relative_to(ROOT)))
    assert makers == {"bridge/metrics.py", "s3proxy/metrics.py"}
