"""What should happen: one pure file per control loop, from (now, what is wanted, what was seen) to a plan.

Nothing in here reads a clock, makes an id, opens a transaction or knows a store: a view
with ``get`` and ``find`` is enough, which is why every rule can be tested as a table.
"""
