"""Who may come in, by a signed token.

settings      what can be configured
token_source  where a client gives its token
keys          the keys in a file
verifier      checks a token
claims        values of a token as headers
gate          decides
"""
