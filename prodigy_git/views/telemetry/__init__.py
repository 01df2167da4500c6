"""The jobs as traces and metrics, and their way to an OTLP endpoint."""
