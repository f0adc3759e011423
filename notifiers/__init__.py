"""The mail room: alerts on their way out, to a webhook or through Apprise. What goes wrong is told without secrets."""
