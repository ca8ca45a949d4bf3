//! Execution of the rows of an import.

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
