"""`wsgw demo`: a failover to look at, made of real processes on this machine.

show             tells the story: starts everything, kills backends, prints what happens
counting_client  sends numbered messages and counts the answers
echo_backend     a backend that answers each message with its name and the message
"""
