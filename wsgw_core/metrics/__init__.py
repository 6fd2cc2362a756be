"""What a gateway counts.

counters    the counters of the gateway, as plain integers
traffic     messages by size, for each backend
loop_delay  measures the delay of the event loop
families    the table of metrics that have labels or are not counters
series      converts counters and plugin metrics to Prometheus' types
"""
