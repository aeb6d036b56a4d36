"""The rest of AWS: services that miniecs does not emulate itself, answered by moto in a child process.

A process of its own, started at the first call that needs it: moto's first EC2 call was seen
to block for a second and to add 120 MB, which a control plane must not pay.
"""

from miniecs_api.rest.client import Moto
from miniecs_api.rest.networks import RestOfAws

__all__ = ["Moto", "RestOfAws"]
