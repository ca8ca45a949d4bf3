//! The core of Muster: people and what they belong to, what may be done to them, and what happened.
//!
//! Everything that changes is a [`Command`]; [`decide`] turns it into a [`Change`] or a [`Refusal`], and a
//! [`Store`] carries the change out as one. This crate knows no HTTP, SQL, XML, JSON, socket or clock: time,
//! ids, password hashing and storage are ports that come in from outside.

mod account;
mod catalogue;
mod change;
mod command;
mod common;
mod connection;
mod decide;
mod event;
mod field;
mod filter;
mod fold;
mod given;
mod ids;
mod item;
mod mail;
mod password_text;
mod plural;
mod ports;
mod query;
mod refusal;
mod roles;
mod rules;
mod service;
mod status;
mod tenant;
mod user;
mod view;

pub use account::{
    Account, AccountEdit, KnownDevice, KnownNetwork, LinkKey, OpenLink, Purpose, Session, SignIns,
    StoredPassword, Tombstone,
};
pub use catalogue::{BUILT_IN_ROLES, role_named, role_numbered};
pub use change::{Change, Edit, Receipt, ServerSecret};
pub use command::{
    AccountStep, Command, ConnectionEdit, DepartmentRef, FolderEdit, GroupEdit, ItemRef, MemberEdit,
    NewConnection, OrganisationEdit, OrganisationRef, Proof, RoleRef, StatusMove, TenantEdit, UserEdit,
};
pub use connection::{Access, ClientProfile, Connection, Key, KeyHash};
pub use event::{Action, Event, EventDraft, Note, Record};
pub use field::Field;
pub use filter::{Filter, Op, Test};
pub use fold::{domain_key, fold, identifier_key, nfc};
pub use given::Given;
pub use ids::{ConnectionId, ItemId, Position, TenantNumber, Time, UserId};
pub use item::{
    Department, Folder, FolderEntry, Group, Item, ItemKey, ItemKind, Organisation, OrganisationStatus, Role,
};
pub use mail::{Mail, Outcome};
pub use password_text::normalized_password;
pub use plural::{Address, Entry};
pub use ports::{
    Chain, Clock, CommitError, Hasher, Health, Ids, Obstacle, Overloaded, Pending, Store, StoreError,
    TaskHealth, Verdict,
};
pub use query::{
    Bound, ItemBound, ItemQuery, ItemTest, Page, Place, Sort, SortKey, Span, UserKey, UserQuery, UserTest,
};
pub use refusal::{Fault, Refusal, Rule, SignInFault};
pub use roles::above_effective as roles_above_effective;
pub use rules::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, forbidden_identifiers, is_email, limit};
pub use secrecy::{ExposeSecret, SecretString};
pub use service::{Caller, Directory, Guess, Preview, network};
pub use status::{Status, StatusWish};
pub use tenant::{Tenant, TenantSettings};
pub use user::{Employment, Link, LinkKind, Name, Pair, Profile, Secretary, User};
pub use view::{Labels, Parts, Scalar, Seen, Subject};

/// Whether what an edit of a person says keeps the rules for single values, before anybody is looked up.
pub fn check(edit: &UserEdit) -> Result<(), Refusal> {
    decide::check(edit)
}
