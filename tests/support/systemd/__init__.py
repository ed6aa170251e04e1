"""A machine with a real systemd, in a container: what the units are tried on."""
