"""What the admin API's answers look like: as wsbalancer's, where it has such calls.

actions         what an action is in the control's words, and what is answered
lists           what backends, sessions and frontends look like
backend_config  a backend's configuration
"""
