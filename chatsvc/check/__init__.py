"""What ``chatsvc check`` looks at."""
