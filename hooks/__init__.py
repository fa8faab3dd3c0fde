"""The hook specifications, the plugin manager, and the observers that come with nsctl."""
