"""From a mode and a request to a plan that was checked as data, and to its text. Pure."""
