"""
What of a host nsctl depends on: looked at before anything is made, and nothing is changed by looking.

    finding.py    what a check comes to, and what checks are given
    tools.py      tools and privileges
    kernel.py     what the kernel has
    firewall.py   iptables, and who else manages packet filters
    routes.py     uplinks, forwarding, MTU, name servers, subnets
    places.py     /run, the store, the audit trail
    examine.py    all checks, in order
"""

from __future__ import annotations
