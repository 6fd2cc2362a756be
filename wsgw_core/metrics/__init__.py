"""What a gateway counts, and how Prometheus reads it.

counters    the gateway's own, plain integers
traffic     messages by size, for each backend
histogram, loop_delay   durations of what happens rarely; how late the event loop is
families    the metrics that are more than a counter without labels, as a table
exposition  all of them as Prometheus wants them
"""
