"""`wsgw demo`: a failover to look at, made of real processes on this machine.

show             tells the story: starts everything, kills backends, prints what happens
counting_client  sends numbered messages and counts the answers
processes        the processes that take part, none of which outlives the demo
echo_backend     a backend that answers each message with its name and the message
end_with_parent  runs a module in a process that ends when its parent does
"""
