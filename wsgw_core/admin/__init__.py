"""The admin API: operators watch and control a gateway over HTTP.

calls            every call as a table: method, path, role, meaning
wsbalancer       what actions and lists look like
monitoring       for what watches over the process: health and metrics
answers          the JSON bodies
guard            who may call what, and from where
call_turns       many calls at once leave room for sessions
connections      how many at a time: the newest are always among them
request_timeout  how long a connection may take between two requests
application      puts the above together
server           listens
openapi          describes the calls to programs

Nothing here knows more of the gateway than `wsgw_core.control` offers.
"""
