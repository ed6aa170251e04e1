"""The sockets of the relay's clients: created, stopped, swapped, healed; the notify socket; their rates."""
