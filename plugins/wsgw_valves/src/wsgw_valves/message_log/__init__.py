"""Logs a line for each message.

settings     the options
redaction    removes secrets from texts
line_queue   lines that wait to be written
log_file     the file, with rotation
valve        the valve, which makes the lines
"""
