-- The version of a tenant's settings, which guards their changes; none is 0. It is in the document, too.

ALTER TABLE tenants ADD COLUMN IF NOT EXISTS version INT;
