//! The core of Muster: people and what they belong to, what may be done to them, and what happened.
//!
//! Everything that changes is a [`Command`]; [`decide`] turns it into a [`Change`] or a [`Refusal`], and a
//! [`Store`] carries the change out as one. This crate knows no HTTP, SQL, XML, JSON, socket or clock: time,
//! ids, password hashing and storage are ports that come in from outside.

mod catalogue;
mod change;
mod command;
mod connection;
mod decide;
mod event;
mod field;
mod fold;
mod given;
mod ids;
mod item;
mod ports;
mod query;
mod refusal;
mod rules;
mod service;
mod status;
mod tenant;
mod user;

pub use catalogue::{BUILT_IN_ROLES, role_named, role_numbered};
pub use change::{Change, Edit, Receipt, StoredPassword};
pub use command::{
    Command, DepartmentRef, FolderEdit, GroupEdit, ItemRef, MemberEdit, NewConnection, OrganisationEdit,
    OrganisationRef, RoleRef, StatusMove, UserEdit,
};
pub use connection::{Access, Connection, Key, KeyHash};
pub use event::{Action, Event, EventDraft, Record};
pub use field::Field;
pub use fold::fold;
pub use given::Given;
pub use ids::{ConnectionId, ItemId, Position, TenantNumber, Time, UserId};
pub use item::{
    Department, Folder, FolderEntry, Group, Item, ItemKey, ItemKind, Organisation, OrganisationStatus, Role,
};
pub use ports::{Clock, CommitError, Hasher, Health, Ids, Overloaded, Pending, Store, StoreError};
pub use query::{ItemQuery, ItemTest, Page, Sort, SortKey, Span, UserKey, UserQuery, UserTest};
pub use refusal::{Fault, Refusal, Rule};
pub use rules::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, limit};
pub use secrecy::{ExposeSecret, SecretString};
pub use service::{Caller, Directory};
pub use status::{Status, StatusWish};
pub use tenant::Tenant;
pub use user::{Address, Link, LinkKind, Name, Pair, Phones, Secretary, User};
