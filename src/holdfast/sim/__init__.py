"""The rules of overload in virtual time: a worker, a fleet of a thousand, clients that retry, slow neighbours.

The rules are the very objects of `decide/` that serve for real. Nothing here is used by a running service.
"""
