"""Which backend next.

backend_group    ranks the backends of a group, and has the policy choose among the best
checked_policy   a policy whose faults cost no client its backend
"""
