"""SQL databases: their URLs, transactions, migrations, and whether they answer."""
