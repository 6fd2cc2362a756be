"""Where operators look at a gateway and steer it, over HTTP.

calls         every call as a table: method, path, role, meaning
backends, sessions, frontends, configuration, health, metrics
              what each call does, a file for each noun
backend_config   a backend's configuration, as wsbalancer writes it
answers       the JSON bodies
guard         who may call what, and from where
connections   how many at a time: the newest are always among them
patience      how long a connection may take between two requests
application   puts the above together
server        listens
openapi       describes the calls to programs

Nothing here knows more of the gateway than `wsgw_core.steering` offers.
"""
