"""The parts of the reference that `make_reference.py` writes; each function yields lines.

`parts` says which function writes which part. `configuration` writes keys and variables, as
`option_text` and `meanings` have them; `contract` what plugin authors use, as `self_description`
reads it; `metric_tables` metrics; `operation` what operators see.
"""
