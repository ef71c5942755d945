"""Everything that touches the outside: Kafka, the Edge, the token endpoint, the status port."""
