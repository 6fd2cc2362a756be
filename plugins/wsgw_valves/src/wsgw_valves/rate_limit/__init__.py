"""Limits the rate of messages.

settings       the options
meter          token buckets for messages and bytes
shared_meters  meters that sessions share
valve          the valve, which delays or discards messages, or ends the session
"""
