"""One gateway as a process: what `wsgw run` does.

daemon             from the start to the signal that stops it
stop_signals       which signals do, from the first moment on
standard_descriptors   what is open as stdin, stdout and stderr
reloading          reads the configuration of the running gateway anew
reload_answer      tells `wsgw reload` what has changed
log_output         where the log goes: a dropping_log, which writes to a nonblocking_output; a
                   log_sampler bounds how often it says the same
"""
