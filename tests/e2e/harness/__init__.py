"""What the end-to-end tests share: a server to start and kill, files to send, and eyes on what was kept."""
