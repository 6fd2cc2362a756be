"""Chooses the next backend of a group.

backend_group    ranks the backends of a group; the policy chooses among the best
checked_policy   lets backends take turns when the policy of a plugin fails
"""
