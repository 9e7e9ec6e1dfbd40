"""What arbiter and worker share: messages, channel, scoreboard."""
