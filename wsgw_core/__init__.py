"""wsgw: a websocket gateway that keeps its clients and loses no message.

To embed it, see `wsgw_core.gateway.Gateway`; to extend it, `wsgw_core.api`.

gateway            one gateway: puts the parts of all packages together
frontend_settings, session_settings   what a configuration means for its parts
components         each configured entry with its plugin's kind and options
plugin_loader      finds, imports and registers plugins
plugin_objects     makes what they provide
open_plugins       opens it, keeps it over reloads, and closes it: valves, listeners, gates
steering           what operators may do with it; `admin` calls that
reloading          reads the configuration of a running gateway anew
reload_report      what that has changed; reload_answer: tells it to `wsgw reload`
daemon             runs one gateway as a process: stop_signals, file_limit, standard_descriptors
log_output         where its log goes: a dropping_log, which writes to a nonblocking_output; a
                   log_sampler bounds how often it says the same
masking            keeps secrets out of what is printed; one_line: whatever steers a terminal
aside              keeps what may take long off the event loop
available_memory   how much memory the process may have, for the default of `limits.memory`
tracebacks         frees what a caught error refers to
"""

__version__ = "0.1.0"
