//! The core of Muster: people and what they belong to, what may be done to them, and what happened.
//!
//! Everything that changes is a [`Command`]; [`decide`] turns it into a [`UserDiff`] or a [`DirectoryError`], and a
//! [`Store`] carries the change out as one. This crate knows no HTTP, SQL, XML, JSON, socket or clock: time,
//! ids, password hashing and storage are ports that come in from outside.

mod account;
mod builtin_roles;
mod change;
mod command;
mod common_passwords;
mod connection;
mod decide;
mod error;
mod event;
mod field;
mod field_update;
mod filter;
mod fold;
mod ids;
mod item;
mod mail;
mod multi_valued;
mod password_normalization;
mod ports;
mod query;
mod roles;
mod service;
mod status;
mod tenant;
mod user;
mod validation;
mod view;

pub use account::{
    Account, AccountEdit, KnownDevice, KnownNetwork, LinkPurpose, PasswordHash, Session, SignInLink, SignInLinkRef,
    SignInState, Tombstone,
};
pub use builtin_roles::{BUILTIN_ROLES, builtin_role_name, builtin_role_number};
pub use change::{Change, Mutation, Receipt, ServerSecret};
pub use command::{
    AccountAction, Command, ConnectionEdit, DepartmentRef, FolderEdit, GroupEdit, ItemRef, MemberEdit, NewConnection,
    OrganizationEdit, OrganizationRef, PasswordProof, RoleRef, StatusChange, TenantEdit, UserEdit,
};
pub use connection::{Access, ApiKey, ClientProfile, Connection, KeyHash};
pub use error::{DirectoryError, FieldError, FieldErrorKind, SignInError};
pub use event::{Action, EntitySnapshot, Event, EventData, EventNote};
pub use field::Field;
pub use field_update::FieldUpdate;
pub use filter::{CompareOp, Comparison, Filter};
pub use fold::{domain_key, fold, identifier_key, nfc};
pub use ids::{ConnectionId, EventPosition, ItemId, TenantNumber, Time, UserId};
pub use item::{
    Department, Folder, FolderEntry, Group, Item, ItemKey, ItemKind, Organization, OrganizationStatus, Role,
};
pub use mail::{DeliveryOutcome, Mail};
pub use multi_valued::{Address, TypedValue};
pub use password_normalization::normalize_password;
pub use ports::{
    BoxFuture, ChainReport, Clock, CommitError, Health, IdGenerator, Overloaded, PasswordHasher, PasswordVerification,
    Store, StoreError, TaskHealth, UnwritableReason,
};
pub use query::{
    ItemPageBoundary, ItemPredicate, ItemQuery, Page, PageBoundary, Sort, SortKey, SortPosition, TimeRange, UserKey,
    UserPredicate, UserQuery,
};
pub use roles::roles_above_effective;
pub use secrecy::{ExposeSecret, SecretString};
pub use service::{Caller, Credentials, Directory, Preview, rate_limit_network};
pub use status::{RequestedStatus, Status};
pub use tenant::{Tenant, TenantSettings};
pub use user::{Employment, MetadataEntry, Name, Profile, ProfileLink, ProfileLinkKind, Secretary, User};
pub use validation::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, forbidden_identifiers, is_email, max_chars};
pub use view::{AttributeSource, AttributeValue, Labels, SubAttributes, UserView};

/// Whether what an edit of a person says keeps the rules for single values, before anybody is looked up.
pub fn validate_user_edit(edit: &UserEdit) -> Result<(), DirectoryError> {
    decide::validate_user_edit(edit)
}
