"""What stands in for the outside on one machine: an embedded broker, a local Edge, the demo."""
