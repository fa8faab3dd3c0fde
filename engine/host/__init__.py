"""
The probe: the only files that read the system's state, and none of them changes it.

    netlink.py   the wire: a socket (in any namespace), requests, replies in parts
    rtnl.py      links, addresses and routes, decoded from it
    view.py      one network namespace as the kernel shows it, cached
    process.py   processes, read from /proc
    firewall.py  what `iptables-save` prints, and which back end a host uses
    kernel.py    `Kernel`: all of that behind one cached face
    observe.py   effects compared with a `Kernel`
    changes.py   what the kernel tells by itself: links, addresses, routes, forwarding, nf_tables
    files.py     what happens to files, by inotify
    facts.py     the snapshot that modes plan from

No process is started for anything but the firewall's rules and an author's own read-only commands.
"""
