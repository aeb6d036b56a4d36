"""What exists in miniecs: one file per noun, frozen values only.

Every object is immutable and replaced whole, so that a plan, a transaction and a
history can hold on to one without copying it.
"""
