"""The metrics, read from the counts only when somebody asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connector.logs import log_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connector.assembly import Assembly

ROUTE_COUNTERS: Final = {
    "records": "Records read from the route's topics.",
    "accepted": "Events that the Edge accepted.",
    "dead_lettered": "Records that the dead-letter topic has confirmed.",
    "responses": "Answers to accepted events that the responses topic has confirmed.",
    "tombstones": "Records without a value that were skipped.",
    "abandoned": "Open events given up at a stop or a revoke; their partition's next owner reads them again.",
    "requests": "Requests sent, resends included.",
    "request_bytes": "Bytes of request bodies sent.",
    "resends": "Tries after a passing fault.",
    "possible_duplicates": "Requests sent again that may have been accepted: the body left, and no verdict came back.",
    "isolations": "Refused requests whose events at fault were searched for.",
    "reports": "Warnings and errors that came with an acceptance.",
    "late_answers": "Acceptances for an assignment that was over; the events may be delivered twice.",
}
ROUTE_GAUGES: Final = {
    "in_flight": "Requests that wait for an answer.",
    "lag": "Records that wait behind this member's watermarks, as of the last summary.",
    "is_held": "1 while the route waits for a person to mend something.",
    "brake_on": "1 while the brake on dead letters holds the route, until a person releases it.",
}


class ConnectorMetrics(Collector):
    """Collects the metrics of one connector."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        counts = self._assembly.telemetry.routes
        for name, meaning in ROUTE_COUNTERS.items():
            counter = CounterMetricFamily(f"xdm_connector_{name}", meaning, labels=["route"])
            for route, count in counts.items():
                counter.add_metric([route], getattr(count, name))
            yield counter
        for name, meaning in ROUTE_GAUGES.items():
            gauge = GaugeMetricFamily(f"xdm_connector_{name}", meaning, labels=["route"])
            for route, count in counts.items():
                gauge.add_metric([route], float(getattr(count, name)))
            yield gauge
        yield self._by("answers", "cause", "Answers by verdict's cause.")
        yield self._by("rejections", "reason", "Dead letters by reason.")
        yield from self._of_the_process()

    def _by(self, name: str, label: str, meaning: str) -> Metric:
        counter = CounterMetricFamily(f"xdm_connector_{name}", meaning, labels=["route", label])
        for route, count in self._assembly.telemetry.routes.items():
            for value, number in getattr(count, name).items():
                counter.add_metric([route, value], number)
        return counter

    def _of_the_process(self) -> Iterator[Metric]:
        telemetry = self._assembly.telemetry
        yield CounterMetricFamily("xdm_connector_commits", "Commits confirmed, by partition.", telemetry.commits)
        yield CounterMetricFamily("xdm_connector_commit_failures", "Commits that failed.", telemetry.commit_failures)
        yield CounterMetricFamily("xdm_connector_rebalances", "Assignments and revocations.", telemetry.rebalances)
        yield CounterMetricFamily("xdm_connector_source_faults", "Faults of Kafka's client.", telemetry.source_faults)
        output = log_output()
        yield CounterMetricFamily(
            "xdm_connector_log_lines_dropped",
            "Log lines that nobody read in time, or that no disk took.",
            0 if output is None else output.dropped_lines,
        )
        rate = GaugeMetricFamily(
            "xdm_connector_request_units_per_second",
            "Request units that this member may spend in a second now; 0 in a pause that the endpoint asked for.",
            labels=["endpoint"],
        )
        for endpoint, pace in self._assembly.paces.items():
            rate.add_metric([endpoint], pace.units_per_s)
        yield rate
        owners = self._assembly.pipeline.owners
        yield GaugeMetricFamily("xdm_connector_partitions", "Partitions that this member owns.", len(owners))
        yield GaugeMetricFamily(
            "xdm_connector_open_records", "Records read and not settled.", sum(owner.open_count for owner in owners)
        )
