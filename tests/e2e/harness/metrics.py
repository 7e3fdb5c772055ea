"""What a monitoring system collects of a server, read by Prometheus' own parser."""

import re
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from harness.api import ANSWER_WITHIN_S

# Prometheus documentation, "Metric names and labels"; a colon is for recording rules.
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Metrics:
    """Everything that was there at one moment."""

    def __init__(self, text):
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name, **labels):
        """The one sample of this name with these labels."""
        [found] = [value for of, value in self.samples(name) if of == labels]
        return found

    def by(self, label, name, **labels):
        """The samples of this name by one of their labels, the others being these."""
        values = {}
        for of, value in self.samples(name):
            rest = dict(of)
            which = rest.pop(label)
            if rest == labels:
                assert which not in values
                values[which] = value
        return values

    def samples(self, name):
        name = f"two_buckets_{name}"
        samples = [sample for family in self.families.values() for sample in family.samples]
        return [(sample.labels, sample.value) for sample in samples if sample.name == name]


def collect(server, token=None):
    """Asks as Prometheus does, with a bearer token if there is one."""
    status, kind, text = ask(server, token)
    assert status == 200, text
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(text)


def ask(server, token=None):
    """The answer's status, media type and text."""
    request = urllib.request.Request(server.web + "/metrics")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["Content-Type"], refused.read().decode()


def are_legal(metrics):
    """Checks what Prometheus asks of names, labels and histograms, and what monitoring people expect of them."""
    seen = set()
    for family in metrics.families.values():
        assert family.name.startswith("two_buckets_") and NAME.fullmatch(family.name), family.name
        assert family.documentation.endswith("."), family
        assert family.type in ("counter", "gauge", "histogram"), family
        assert not family.name.endswith(("_ms", "_millis", "_seconds_total", "_kb")), family.name
        for sample in family.samples:
            assert all(NAME.fullmatch(label) and not label.startswith("__") for label in sample.labels), sample
            series = (sample.name, *sorted(sample.labels.items()))
            assert series not in seen, f"twice: {series}"
            seen.add(series)
            if family.type == "counter":
                assert sample.name == f"{family.name}_total" and sample.value >= 0, sample
        if family.type == "histogram":
            is_a_histogram(family)


def is_a_histogram(family):
    """Checks that its buckets have ascending bounds, count what is shorter too, and end with all of it."""
    buckets = [
        (float(sample.labels["le"]), sample.value) for sample in family.samples if sample.name.endswith("_bucket")
    ]
    [count] = [sample.value for sample in family.samples if sample.name.endswith("_count")]
    [total] = [sample.value for sample in family.samples if sample.name.endswith("_sum")]
    bounds, counts = zip(*buckets)
    assert list(bounds) == sorted(set(bounds)) and list(counts) == sorted(counts), family
    assert buckets[-1] == (float("inf"), count), family
    assert bounds[0] <= 0.001 and bounds[-2] >= 3_600, "from a millisecond to hours"
    # As long at least as the bounds say that they were.
    least = sum(low * (up - low_count) for (low, low_count), (_, up) in zip(buckets, buckets[1:]))
    assert least <= total <= (count or 0) * max(bounds[:-1]), family
