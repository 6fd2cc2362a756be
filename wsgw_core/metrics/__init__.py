"""What a gateway counts, and how Prometheus reads it.

counters    the gateway's own, plain integers
traffic     messages by size, for each backend
loop_delay  how late the event loop is
families    the metrics that are more than a counter without labels, as a table
series      the counters, and the metrics of plugins
exposition  all of them as Prometheus wants them
"""
