"""The built-in modes: each is a plugin like anybody else's, named by an entry point."""
