-- The version of a tenant's settings, which guards their changes. It is in the document, too.

ALTER TABLE tenants ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
