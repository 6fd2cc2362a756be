"""Servers that the demo and the drill start as processes of their own.

server_process   starts them, finds out where they listen, kills and freezes them
end_with_parent  runs a module in a process that ends when its parent does
"""
