"""What users are told of the archive: pages, conversations, hits; each only of what this user may read."""
