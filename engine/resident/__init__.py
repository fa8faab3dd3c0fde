"""
A process that stays and forks itself for each command, so that its code is loaded once: asked for, never needed.

    client.py   asks, and waits; loads next to nothing
    wire.py     what they say to each other
    server.py   accepts, forks, and tells how a child was ended
    child.py    what a forked child does until it is as good as the caller
    caller.py   whether a caller is accepted
    traits.py   what a process has from whoever started it: limits, cgroups, priorities, …
    standing.py whether there is one, and how it is
    code.py     whether the code is still the one that was loaded

Whoever runs a command holds its ticket, a byte in a pipe that one end alone can read: the child takes it right before
it begins, the client takes it back before it runs the command itself. So it runs once, whoever dies when.
"""
