"""The commands: a table, so that the help needs none of them and a command only itself."""

from __future__ import annotations

__all__ = ["COMMANDS"]

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up:up", "make a sandbox: up MODE [options] [-- CMD...]"),
    "down": ("down:down", "take sandboxes down, undoing what only they hold"),
    "run": ("up:run", "up, a command in the foreground, down"),
    "exec": ("exec:execute", "run a command in a sandbox"),
    "shell": ("exec:shell", "open a shell in a sandbox"),
    "apply": ("apply:apply", "carry out a saved plan or a lab file"),
    "adopt": ("adopt:adopt", "take over what a script of --format sh has made"),
    "ls": ("listing:ls", "list the sandboxes"),
    "networks": ("networks:networks", "list the networks that sandboxes share"),
    "inspect": ("listing:inspect", "what is known of a sandbox, as JSON"),
    "doctor": ("doctor:doctor", "look at what nsctl depends on, before anything is made"),
    "check": ("maintenance:check", "compare what nsctl made with the kernel"),
    "repair": ("maintenance:repair", "put back what is missing"),
    "recover": ("maintenance:recover", "finish what a killed nsctl left half done"),
    "confirm": ("maintenance:confirm", "keep a sandbox made with --confirm"),
    "watch": ("watch:watch", "follow the kernel, and put back at once what is flushed"),
    "systemd": ("systemd:systemd", "install, or take away, units for a watcher and for labs at boot"),
    "resident": ("resident:resident", "a process that stays, so that commands start at once"),
    "logs": ("logs:logs", "what the workload of a sandbox printed"),
    "log": ("log:log", "read, follow or verify the audit trail"),
    "schema": ("labs:schema", "print the JSON schema of lab files"),
    "modes": ("modes:modes", "the modes, and where they come from"),
    "completion": ("completion:completion", "print the script that completes command lines in a shell"),
}
"""Name → module and function, and the line in the help."""
