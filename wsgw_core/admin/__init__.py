"""The admin API: operators watch and control a gateway over HTTP.

calls            the table of all calls: method, path, role, meaning
queries          answers the GET calls
actions          answers the POST calls
backend_config   writes the configuration of a backend as wsbalancer does
answers          builds the JSON answers
guard            checks token, role, origin and Host header
call_turns       limits calls to one in each turn of the event loop
connections      limits the number of connections
request_timeout  limits the time and the bytes of a connection between two requests
application      builds the web application of the above
server           listens for operators
openapi          describes the calls as OpenAPI

This package knows the gateway only through `wsgw_core.control`.
"""
