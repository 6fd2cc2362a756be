"""What a gateway counts.

counters    the gateway's own, plain integers
traffic     messages by size, for each backend
loop_delay  how late the event loop is
families    the metrics that are more than a counter without labels, as a table
series      the counters, and the metrics of plugins
"""
