"""Servers that the demo and the drill start as processes.

server_process   starts a server, finds its address, kills and freezes it
end_with_parent  runs a module in a process that ends with its parent
"""
