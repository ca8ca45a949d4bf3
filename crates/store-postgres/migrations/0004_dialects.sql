-- An empty list of dialects meant all of them, and means none from now on: connections keep what they could use.

UPDATE connections
SET doc = replace(doc, '"dialects":[]', '"dialects":["onfire","ccs","publisher","scim"]');
