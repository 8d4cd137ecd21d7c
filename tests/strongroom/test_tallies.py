"""What requests count in plain numbers is what the metrics would have counted themselves."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from strongroom.service.tallies import Tallies

BOUNDS = (1 / 1024, 0.25, 1.0, 300.0)  # binary fractions, whose sums are the same in any order
SECONDS = st.one_of(st.sampled_from([0.0, *BOUNDS, 301.0]), st.integers(0, 1 << 20).map(lambda n: n / 1024))


def metrics() -> tuple[CollectorRegistry, Counter, Histogram]:
    registry = CollectorRegistry()
    counter = Counter("bytes", "Moved", ["operation", "direction"], registry=registry)
    return registry, counter, Histogram("seconds", "Took", ["operation"], buckets=BOUNDS, registry=registry)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["get", "put"]), SECONDS),
            st.tuples(st.sampled_from(["get", "put"]), st.sampled_from(["in", "out"]), st.integers(0, 1 << 20)),
            st.none(),
        ),
        max_size=30,
    )
)
def test_what_is_written_is_what_counting_at_once_would_have_given(
    events: list[tuple[str, float] | tuple[str, str, int] | None],
) -> None:
    registry, counter, histogram = metrics()
    plain_registry, plain_counter, plain_histogram = metrics()
    tallies = Tallies(bounds=BOUNDS)
    for event in events:
        if event is None:
            tallies.write()
        elif len(event) == 2:
            tallies.durations(histogram, event[0]).observe(event[1])
            plain_histogram.labels(event[0]).observe(event[1])
        else:
            tallies.count(counter, event[0], event[1]).add(event[2])
            plain_counter.labels(event[0], event[1]).inc(event[2])
    tallies.write()

    def shown(one: CollectorRegistry) -> list[bytes]:
        return sorted(line for line in generate_latest(one).splitlines() if b"_created" not in line)

    assert shown(registry) == shown(plain_registry)


def test_nothing_is_counted_twice() -> None:
    registry, counter, histogram = metrics()
    tallies = Tallies(bounds=BOUNDS)
    tallies.count(counter, "get", "in").add(3)
    tallies.durations(histogram, "get").observe(0.5)
    for _ in range(3):
        tallies.write()
    assert registry.get_sample_value("bytes_total", {"operation": "get", "direction": "in"}) == 3
    assert registry.get_sample_value("seconds_count", {"operation": "get"}) == 1
    assert registry.get_sample_value("seconds_sum", {"operation": "get"}) == 0.5
