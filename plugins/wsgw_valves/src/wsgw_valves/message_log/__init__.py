"""A line for each message.

settings     what can be configured
redaction    takes out what must not be logged
line_queue   lines that wait to be written
log_file     the file, rotated and opened anew
valve        makes the lines
"""
