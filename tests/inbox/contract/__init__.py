"""What every store of inboxes does: cases for each kind of store to inherit."""
