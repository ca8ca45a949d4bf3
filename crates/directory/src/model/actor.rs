//! Who acts: an API client, a user, an administrator, a visitor, a task of the server, or the operator.

use crate::{ConnectionId, TenantNumber, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an actor may do. Every command and query names the permissions that it requires (`authorization.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Read users, groups, folders, organizations, roles and departments.
    ReadUsers,
    /// Create, change, delete and restore users.
    WriteUsers,
    /// Set passwords, read their hashes, send invitations and end sessions.
    Credentials,
    /// Change groups, folders, organizations and departments, add roles up to the role ceiling, and change who belongs to
    /// groups and folders. (The organization and department of a user are attributes of the user, and are created if they
    /// are new.)
    Groups,
    /// Add, change and revoke connections that may do no more than the actor.
    Connections,
    /// Change the settings of a tenant, and handle its mails.
    Settings,
    /// Read the history.
    Audit,
    /// Add, change and remove targets: systems that get the tenant's users.
    Targets,
    /// Add and remove tenants, and read what belongs to no tenant.
    Installation,
}

impl Permission {
    pub const ALL: [Self; 9] = [
        Self::ReadUsers,
        Self::WriteUsers,
        Self::Credentials,
        Self::Groups,
        Self::Connections,
        Self::Settings,
        Self::Audit,
        Self::Targets,
        Self::Installation,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadUsers => "read-users",
            Self::WriteUsers => "write-users",
            Self::Credentials => "credentials",
            Self::Groups => "groups",
            Self::Connections => "connections",
            Self::Settings => "settings",
            Self::Audit => "audit",
            Self::Targets => "targets",
            Self::Installation => "installation",
        }
    }
}

/// What an administrator may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    pub permissions: Vec<Permission>,
    /// In all tenants, not only in the administrator's own.
    #[serde(default)]
    pub all_tenants: bool,
}

impl Grants {
    /// The permissions in a tenant; `home` is the administrator's own.
    pub fn permissions_in(&self, tenant: TenantNumber, home: TenantNumber) -> Vec<Permission> {
        if tenant != home && !self.all_tenants {
            return Vec::new();
        }
        let is_granted = |permission: &Permission| *permission != Permission::Installation || self.all_tenants;
        self.permissions.iter().copied().filter(is_granted).collect()
    }

    /// Whether these grants include others.
    pub fn include(&self, others: &Self) -> bool {
        (self.all_tenants || !others.all_tenants)
            && others.permissions.iter().all(|permission| self.permissions.contains(permission))
    }
}

/// A task of the server, which may do what it exists for and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Find the connection of a key or token.
    Authentication,
    /// Send mails.
    Mails,
    /// Delete permanently what is kept for a limited time.
    Retention,
    /// Serve the pages for users.
    Pages,
    /// Start the server.
    Startup,
    /// Provision targets.
    Gateway,
}

impl Purpose {
    pub const ALL: [Self; 6] =
        [Self::Authentication, Self::Mails, Self::Retention, Self::Pages, Self::Startup, Self::Gateway];
}

#[derive(Clone, Debug, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(name(ActorKind), derive(strum::EnumIter, Hash))]
pub enum Actor {
    Connection(Client),
    /// A user who is signed in. `page` is the name in the history.
    User {
        id: UserId,
        page: &'static str,
    },
    Administrator(Administrator),
    /// A visitor of a page.
    Anonymous {
        page: &'static str,
    },
    System(Purpose),
    /// The command line, which may do everything.
    Operator {
        /// The name of the operating system's user, if it is known.
        name: Option<String>,
    },
}

/// A connection that sends a request. Its permissions are read when they are needed, so that a revocation takes effect
/// while the request runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub id: ConnectionId,
    pub name: String,
    /// The highest built-in role that it may grant.
    pub highest_role: u32,
    /// The user whose own client it is.
    pub user: Option<UserId>,
    /// The API used. The connection must keep access to it while the request runs.
    pub dialect: String,
}

/// A signed-in user with grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    pub user: UserId,
    /// The tenant of the user.
    pub home: TenantNumber,
    pub user_name: String,
    pub grants: Grants,
}

impl Actor {
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Connection(client) => Some(client.id),
            _ => None,
        }
    }
}

/// The name in the history.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(client) => f.write_str(&client.name),
            Self::User { page, .. } | Self::Anonymous { page } => f.write_str(page),
            Self::Administrator(administrator) => write!(f, "administrator {}", administrator.user_name),
            Self::System(_) => f.write_str("server"),
            Self::Operator { name: None } => f.write_str("terminal"),
            Self::Operator { name: Some(name) } => write!(f, "terminal ({name})"),
        }
    }
}
