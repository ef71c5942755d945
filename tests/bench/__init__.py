"""The benchmark: how fast one connector process drains a topic of Apache Kafka, and what that costs.

`python -m tests.bench` (or `make bench`) fills a topic, starts a sink that accepts everything at once and the
connector as the separate processes that they are, and measures the connector from outside.

| file | role |
|---|---|
| `__main__.py` | options; the order of a benchmark |
| `events.py` | the events, and filling a topic with them |
| `sink.py` | the process that stands where the Edge would |
| `interact.py` | interact, one request an event, into the local Edge (`--interact`) |
| `drain.py` | one connector process from start to stop, measured |
| `procfs.py` | CPU time and memory of a process |
| `report.py` | figures as a table or as JSON |
"""
