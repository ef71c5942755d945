"""Delivers XDM events from Kafka topics to Adobe's Edge Network and loses none."""
