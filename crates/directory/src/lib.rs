//! The core of Muster: users and what they belong to, the commands that change them, and the events that record the
//! changes.
//!
//! Every write is a [`Command`]. It is decided into a [`Change`] or a [`DirectoryError`], and a [`Store`] carries
//! out the change atomically. This crate knows no HTTP, SQL, XML, socket or clock: time, ids, password hashing and
//! storage are ports. JSON is only the form in which documents are stored.
//!
//! ```
//! use directory::{Command, UserKey};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let directory = testkit::fakes::directory(std::sync::Arc::new(store::Memory::new()));
//! let caller = testkit::conformance::create_tenant(&directory, "Example Ltd").await;
//! let edit = testkit::conformance::new_user("ann@example.com");
//! directory.run(&caller, Command::CreateUser(edit)).await.unwrap();
//! let user = directory.user(&caller, UserKey::Email("ANN@example.com".into())).await.unwrap();
//! assert_eq!(user.number, 1);
//! # });
//! ```

mod authorization;
mod change;
mod command;
mod decide;
mod error;
mod model;
mod ports;
mod query;
mod service;
mod table;
mod text;

pub use authorization::{Query, QueryKind};
pub use change::{Change, Mutation, Receipt};
pub use command::{
    AccountAction, Command, CommandKind, ConnectionEdit, DepartmentRef, FieldUpdate, FolderEdit, GroupEdit, ItemRef,
    MemberEdit, NewConnection, OrganizationEdit, OrganizationRef, PasswordProof, RoleRef, StatusChange, TargetChange,
    TenantEdit, UserEdit,
};
pub use error::{DirectoryError, FieldError, FieldErrorKind, SignInError};
pub use model::*;
pub use ports::{
    BoxFuture, ChainReport, Clock, CommitError, Committing, Health, IdGenerator, Members, Overloaded, PasswordHasher,
    PasswordVerification, SnapshotPage, Store, StoreError, TaskHealth, TenantSnapshot, UnwritableReason, record,
    records,
};
pub use query::{
    AttributeSource, AttributeValue, CompareOp, Comparison, Filter, ItemPageBoundary, ItemPredicate, ItemQuery, Labels,
    Page, PageBoundary, Sort, SortKey, SortPosition, SubAttributes, TimeRange, UserKey, UserPredicate, UserQuery,
    UserView,
};
pub use secrecy::{ExposeSecret, SecretString};
pub use service::{
    Caller, Credentials, Directory, IdempotencyLookup, IdempotencyScope, Preview, TargetRecord, gateway_lease_name,
    rate_limit_network,
};
pub use table::*;
pub use text::*;

/// Checks the single values of an edit without looking anything up.
pub fn validate_user_edit(edit: &UserEdit) -> Result<(), DirectoryError> {
    decide::validate_user_edit(edit)
}
