"""How many requests a route may have under way: enough for the allowance, and not all of them beside others."""

from __future__ import annotations

import pytest

from connector.core.pacing import request_units
from connector.route_assembly import _places, _route_settings
from tests.unit.config_sample import SAMPLE, load

LATENCY_S = 0.1


@pytest.mark.parametrize(("routes", "places"), [(1, 128), (2, 96), (3, 86), (8, 72)])
def test_each_route_leaves_room_for_the_others(routes: int, places: int) -> None:
    """A single route gets all; of several each one leaves half of an even share to every other one."""
    [route] = SAMPLE["routes"]
    many = [{**route, "name": f"r{number}", "topics": [f"t{number}"]} for number in range(routes)]
    assert _places(load({**SAMPLE, "routes": many})) == places


@pytest.mark.parametrize("routes", [1, 2, 3, 4])
def test_one_of_a_few_routes_can_spend_the_allowance(routes: int) -> None:
    """With full requests and answers after 100 ms, all others being idle."""
    [route] = SAMPLE["routes"]
    many = [{**route, "name": f"r{number}", "topics": [f"t{number}"]} for number in range(routes)]
    config = load({**SAMPLE, "routes": many})
    units = request_units(config.routes[0].batch.max_bytes, config.routes[0].upstreams)
    assert _places(config) >= config.edge.request_units_per_second.collect / units * LATENCY_S


def test_some_ordered_events_are_out_even_where_there_is_one_place() -> None:
    """One that fails for its own sake is found out only beside others; alone it would stop its route for good."""
    [route] = SAMPLE["routes"]
    ordered = {**route, "endpoint": "interact", "order": "key"}
    config = load({**SAMPLE, "edge": {**SAMPLE["edge"], "max_in_flight": 1}, "routes": [ordered]})
    most_out = _route_settings(config, config.routes[0]).ordered_at_once
    assert most_out is not None
    assert most_out > 1
