"""What ``/metrics`` counts."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hone.tasks.protocol import Prediction

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """Prometheus metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("hone_requests", "Requests to /predict by outcome", ["outcome"], registry=self.registry)
        self.inputs = Counter("hone_inputs", "Inputs answered", registry=self.registry)
        self.truncated = Counter("hone_truncated_inputs", "Inputs that were cut", registry=self.registry)
        self.seconds = Histogram(
            "hone_predict_seconds", "Seconds of a /predict request", buckets=SECONDS, registry=self.registry
        )
        self.in_flight = Gauge("hone_requests_in_flight", "Requests being answered", registry=self.registry)
        self.streams = Gauge("hone_streams_in_flight", "Texts being written in pieces", registry=self.registry)
        self.tokens = Counter("hone_written_tokens", "Tokens of the texts that were answered", registry=self.registry)

    def answered(self, predictions: Sequence[Prediction], *, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels("answered").inc()
        self.inputs.inc(len(predictions))
        self.truncated.inc(sum(bool(prediction.get("truncated")) for prediction in predictions))
        texts = [text for one in predictions if "ended" in one for text in one.get("texts", [one])]
        self.tokens.inc(sum(text["tokens"] for text in texts))
        self.seconds.observe(seconds)

    def failed(self, code: str) -> None:
        """Count a request that failed, by the error's code."""
        self.requests.labels(code).inc()
