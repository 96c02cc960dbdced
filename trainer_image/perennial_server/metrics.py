"""The server's series, all of them `perennial_server_*`, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from perennial_contract.serving import ServerConfig

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Everything that is counted. Labels that may come later start at zero: a rate needs something to start from."""

    def __init__(self, config: ServerConfig) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "perennial_server_requests", "Inference requests answered, by status code", ["code"], registry=registry
        )
        self.seconds = Histogram(
            "perennial_server_request_seconds",
            "From the whole request to the answer, where one was given",
            buckets=_SECONDS,
            registry=registry,
        )
        self.rows = Counter("perennial_server_rows", "Rows scored, by track", ["track"], registry=registry)
        self.written = Counter(
            "perennial_server_records_written", "Rows inserted into the store, by table", ["table"], registry=registry
        )
        self.dropped = Counter(
            "perennial_server_records_dropped",
            "Scored rows that were never recorded, by reason",
            ["reason"],
            registry=registry,
        )
        self.queued = Gauge("perennial_server_records_queued", "Scored rows that wait for the store", registry=registry)
        self.store_errors = Counter(
            "perennial_server_store_errors", "Attempts to write that the store did not take", registry=registry
        )
        self.forwards = Counter(
            "perennial_server_forwards", "Requests forwarded for pairs, by result", ["result"], registry=registry
        )
        self.outcomes = Counter(
            "perennial_server_outcomes", "Outcomes received, by result", ["result"], registry=registry
        )
        self.ready = Gauge("perennial_server_ready", "1 while requests are welcome", registry=registry)
        info = Gauge(
            "perennial_server_model_info",
            "What is served",
            ["model", "version", "version_name", "algorithm", "track", "digest"],
            registry=registry,
        )
        info.labels(
            config.model,
            config.version,
            config.version_name,
            config.algorithm,
            config.track,
            config.artifact.digest,
        ).set(1)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for counter, values in (
            (self.requests, ("200",)),
            (self.rows, ("live", "shadow")),
            (self.written, ("samples", "predictions")),
            (self.dropped, ("queue_full", "refused", "failed", "shutdown")),
            (self.forwards, ("paired", "same", "failed", "dropped")),
            (self.outcomes, ("accepted", "already", "conflict")),
        ):
            for value in values:
                counter.labels(value)
