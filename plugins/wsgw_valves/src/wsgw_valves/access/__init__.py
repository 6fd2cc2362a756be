"""Admits clients by path, header and address.

settings     the options
address_set  looks an address up in many networks
gate         the gate
"""
