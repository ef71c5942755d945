"""The demo: the connector's main job on one machine, with real parts, faults and a reconciliation by event id.

`python -m connector.local.demo` starts an embedded Kafka, the local Edge and the connector as processes of their
own, produces events, lets the Edge have a bad minute (scaled down to some seconds), stops, and adds up what became
of every event. It keeps its files in one folder and talks to 127.0.0.1 only.
"""
