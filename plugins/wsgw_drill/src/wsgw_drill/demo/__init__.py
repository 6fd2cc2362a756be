"""`wsgw demo`: shows a failover of real processes on this machine.

show             starts everything, kills backends, prints what happens
counting_client  sends numbered messages and counts the answers
echo_backend     answers each message with the backend's name and the message
"""
