"""A stand-in for the io.net CaaS API that rents containers of the Docker daemon of this machine.

Not the vendor's service: it answers as public material describes that one, prices are made up, and
hardware is this machine's. What the vendor does not document, its quirks, are switches
(`quirks.py`).
"""
