//! The stored entities: users, groups and other items, tenants, connections, events and mails.

use crate::{Record, Table};

pub(crate) mod account;
mod actor;
mod attribute;
mod attribute_mapping;
mod builtin_roles;
mod connection;
mod event;
mod event_labels;
mod follower;
mod idempotency;
mod ids;
pub(crate) mod item;
mod lease;
mod mail;
pub(crate) mod multi_valued;
mod push_attempt;
mod remote_user;
pub(crate) mod roles;
mod sealed_secret;
mod security_record;
mod server_secret;
mod status;
mod target;
mod target_progress;
mod tenant;
pub(crate) mod user;
mod user_change;

pub use account::{
    Account, AccountEdit, KnownBrowser, KnownNetwork, LinkPurpose, PasswordHash, PasswordLink, Session, SignInLink,
    SignInState, Tombstone,
};
pub use actor::{Actor, ActorKind, Administrator, Client, Grants, Permission, Purpose};
pub(crate) use attribute::DEFAULT_MAX_CHARS;
pub use attribute::{ATTRIBUTES, Attribute, AttributeAccess, BooleanSlot, Field, MultiValuedSlot, Slot, TextSlot};
pub use attribute_mapping::{AttributeMapping, EmptyValue};
pub use builtin_roles::{BUILTIN_ROLES, builtin_role_name, builtin_role_number};
pub use connection::{Access, ApiKey, ClientProfile, Connection, ConnectionKey, KeyHash};
pub use event::{Action, EntitySnapshot, Event, EventData, EventFilter, EventKind, EventNote};
pub use event_labels::EventLabels;
pub use follower::Follower;
pub use idempotency::{IdempotencyKey, IdempotencyRecord, RecordedResponse, RecordedStep};
pub use ids::{ConnectionId, EventPosition, ItemId, TenantNumber, Time, UserId};
pub use item::{
    Department, Folder, FolderEntry, Group, Item, ItemKey, ItemKind, Organization, OrganizationStatus, Role,
};
pub use lease::Lease;
pub use mail::{DeliveryOutcome, Mail};
pub use multi_valued::{Address, TypedValue};
pub use push_attempt::PushAttempt;
pub use remote_user::{PushFault, PushPriority, RemoteState, RemoteUser};
pub use roles::roles_above_effective;
pub use sealed_secret::{SealedSecret, SecretUse};
pub use security_record::{SecurityEvent, SecurityKind, SecurityRecord};
pub use server_secret::ServerSecret;
pub use status::{RequestedStatus, Status};
pub use target::{
    CredentialKind, DeprovisionPolicy, Deprovisioning, MatchKey, PasswordPolicy, Target, TargetCapabilities,
    TargetLimits, TargetState,
};
pub use target_progress::TargetProgress;
pub use tenant::{Tenant, TenantSettings};
pub use user::{Employment, MetadataEntry, Name, Profile, ProfileLink, ProfileLinkKind, Secretary, User};
pub use user_change::{ChangedSubject, UserChange};

/// All declared tables, for backups, moves and checks. A table comes after those that its rows refer to.
pub static TABLES: &[fn() -> &'static Table] = &[
    Tenant::table,
    ServerSecret::table,
    Connection::table,
    ConnectionKey::table,
    Mail::table,
    IdempotencyRecord::table,
    SecurityRecord::table,
    Lease::table,
    Follower::table,
    Target::table,
    TargetProgress::table,
    SealedSecret::table,
    RemoteUser::table,
    PushAttempt::table,
];
