"""
Reachability: which way a packet takes through a host, judged from tables and settings; no packet is sent.

    model.py      a host as it was read: links, addresses, routing rules and tables, packet filters
    routing.py    which route a packet takes, as the kernel's fib_lookup does it
    …

Pure: the probe reads, this judges.
"""

from __future__ import annotations
