"""The data plane: a process of its own that carries users' traffic from load balancers to targets.

It knows one value, the routing table, and outlives the control plane that made it.
"""
