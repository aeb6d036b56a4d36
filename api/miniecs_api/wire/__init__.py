"""AWS's wire protocols: what a request means and how a reply is written, for any operation of any service.

Nothing here knows an operation. botocore's service models name the shapes, and each operation's shapes are
compiled once, at its first use, into closures; so there is no per-operation parsing to keep in step with AWS,
and no model lookup on the way of a request.
"""
