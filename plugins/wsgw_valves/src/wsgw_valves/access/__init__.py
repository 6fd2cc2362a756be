"""Who may come in, by path, header and address.

settings     what can be configured
address_set  finds an address among many networks
gate         decides
"""
