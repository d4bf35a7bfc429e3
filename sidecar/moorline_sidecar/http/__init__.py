"""The listeners: the data plane, health and operations."""
