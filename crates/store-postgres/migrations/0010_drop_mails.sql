-- Mails have moved to `outgoing_mails`.

DROP TABLE IF EXISTS mails;
