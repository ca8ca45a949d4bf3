-- Statistics of a small store would make the planner scan tables that have grown since. Without them, each statement has the
-- same plan in every store.

DROP TABLE IF EXISTS sqlite_stat1;
