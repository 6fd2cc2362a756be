"""Admits clients with a signed token.

settings      the options
token_source  finds the token in a handshake
keys          the keys in a file
verifier      checks a token
claims        turns claims into headers
gate          the gate
"""
