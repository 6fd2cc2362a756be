"""One gateway as a process: `wsgw run`.

daemon                starts the gateway and runs it until a signal
stop_signals          handles SIGINT and SIGTERM from the first moment on
standard_descriptors  opens stdin, stdout and stderr if they are closed
reloading             reloads the configuration on SIGHUP, on request, or when the file changes
reload_answer         sends the result of a reload to `wsgw reload`
log_output            sets up logging
dropping_log          a log handler that never blocks
nonblocking_output    writes to a descriptor without blocking
log_sampler           limits repeated log records
"""
