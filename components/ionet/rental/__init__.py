"""The life of a rented machine: rent or adopt, extend, look, give back; readiness.py waits.

Holds no state. What it promises: never a second machine for one run, nothing forgotten that bills,
nothing taken for gone that this account does not show as ended.
"""
