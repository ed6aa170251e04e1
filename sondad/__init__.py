"""What is installed under the project's own name: the entry points of its commands, and beside them its packages."""
