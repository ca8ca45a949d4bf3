//! Carries out the rows of a file, many at a time, and reports what became of each.

pub(crate) mod context;
pub(crate) mod deactivate_missing;
pub(crate) mod deferred_references;
pub(crate) mod executor;
pub(crate) mod in_flight;
pub(crate) mod item_import;
pub(crate) mod parsed_row;
pub(crate) mod rejected_rows;
pub(crate) mod resume_state;
pub(crate) mod unknown_roles;
pub(crate) mod user_import;
