//! A small directory, and actors of every kind with every permission.

use directory::{
    Access, Actor, Administrator, Caller, Client, Clock, Command, Connection, ConnectionId, Directory, FieldUpdate,
    Grants, GroupEdit, IdempotencyRecord, KeyHash, MemberEdit, NewConnection, Permission, Purpose, Store, TenantNumber,
    Time, User, UserId, UserKey,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::Memory;
use testkit::conformance::{create_tenant, new_user};
use testkit::fakes;

pub(crate) const DIALECT: &str = "api";

pub(crate) struct Fixture {
    pub(crate) store: Arc<Memory>,
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<OffsetClock>,
    pub(crate) operator: Caller,
    pub(crate) ann: User,
}

impl Fixture {
    /// A tenant with a group of ann and bob.
    pub(crate) async fn new() -> Self {
        let store = Arc::new(Memory::new());
        let (clock, ids) = (Arc::<OffsetClock>::default(), Arc::new(fakes::CountingIds::default()));
        let hasher = Arc::new(fakes::PlainHasher);
        let directory = Directory::new(Arc::clone(&store) as _, Arc::clone(&clock) as _, ids, hasher);
        let operator = create_tenant(&directory, "One").await;
        let mut users = Vec::new();
        for email in ["ann@example.com", "bob@example.com"] {
            let receipt = directory.run(&operator, Command::CreateUser(new_user(email))).await.expect("a user");
            users.extend(receipt.users);
        }
        let keys = users.iter().map(|user| UserKey::Id(user.id)).collect();
        let group = GroupEdit {
            name: FieldUpdate::Set("Staff".into()),
            members: Some(MemberEdit::Replace(keys)),
            ..GroupEdit::default()
        };
        directory.run(&operator, Command::CreateGroup(group)).await.expect("a group");
        let ann = users.remove(0);
        Self { store, directory, clock, operator, ann }
    }

    /// Rows of requests with an `Idempotency-Key`.
    pub(crate) async fn record_count(&self) -> usize {
        let query = <IdempotencyRecord as directory::Record>::table().all().equal(vec![self.operator.tenant.0.into()]);
        self.store.rows(query).await.expect("read").len()
    }

    /// Adds a connection and returns it as a caller.
    pub(crate) async fn client(&self, name: &str, set: impl FnOnce(&mut NewConnection)) -> Caller {
        let connection = self.connection(name, set).await;
        let client = Client {
            id: connection.id,
            name: connection.name,
            highest_role: connection.highest_role,
            user: connection.user,
            dialect: DIALECT.into(),
        };
        Caller::new(connection.tenant, Actor::Connection(client))
    }

    pub(crate) async fn connection(&self, name: &str, set: impl FnOnce(&mut NewConnection)) -> Connection {
        let hash = KeyHash([u8::try_from(name.len()).expect("a short name"); 32]);
        let mut new = NewConnection::new(name, vec![DIALECT.into()], hash);
        set(&mut new);
        self.directory.run(&self.operator, Command::AddConnection(new)).await.expect("a connection");
        let all = self.directory.connections(&self.operator).await.expect("listed");
        all.into_iter().find(|connection| connection.name == name).expect("added")
    }
}

/// Advances by a second with each reading. Tests can advance it further.
#[derive(Default)]
pub(crate) struct OffsetClock {
    steps: fakes::StepClock,
    offset: AtomicI64,
}

impl OffsetClock {
    pub(crate) fn advance_seconds(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for OffsetClock {
    fn now(&self) -> Time {
        self.steps.now().plus_seconds(self.offset.load(Ordering::Relaxed))
    }
}

/// An actor, and what it is to the rules.
pub(crate) struct Sample {
    pub(crate) caller: Caller,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) task: Option<Purpose>,
    pub(crate) is_ann: bool,
}

/// Actors of every kind, and with every permission alone.
pub(crate) async fn all_actors(fixture: &Fixture) -> Vec<Sample> {
    let tenant = fixture.operator.tenant;
    let sample = |actor, permissions: &[Permission]| Sample {
        caller: Caller::new(tenant, actor),
        permissions: permissions.to_vec(),
        task: None,
        is_ann: false,
    };
    let other = UserId(uuid::Uuid::from_u128(77));
    let mut all = vec![
        sample(Actor::Operator { name: None }, &Permission::ALL),
        sample(Actor::Anonymous { page: "page" }, &[]),
        sample(Actor::User { id: other, page: "page" }, &[]),
        Sample { is_ann: true, ..sample(Actor::User { id: fixture.ann.id, page: "page" }, &[]) },
    ];
    all.extend(Purpose::ALL.map(|purpose| Sample { task: Some(purpose), ..sample(Actor::System(purpose), &[]) }));
    let administrator = |permissions: Vec<Permission>, all_tenants, home| {
        let grants = Grants { permissions, all_tenants };
        Actor::Administrator(Administrator { user: other, home, user_name: "admin".into(), grants })
    };
    let other_tenant = TenantNumber(9);
    for permission in Permission::ALL {
        let in_own_tenant: Vec<Permission> =
            [permission].into_iter().filter(|one| *one != Permission::Installation).collect();
        all.push(sample(administrator(vec![permission], false, tenant), &in_own_tenant));
        all.push(sample(administrator(vec![permission], true, other_tenant), &[permission]));
    }
    let without_installation: Vec<Permission> =
        Permission::ALL.into_iter().filter(|one| *one != Permission::Installation).collect();
    all.push(sample(administrator(Permission::ALL.to_vec(), false, tenant), &without_installation));
    all.push(sample(administrator(Permission::ALL.to_vec(), false, other_tenant), &[]));
    all.push(sample(administrator(Permission::ALL.to_vec(), true, other_tenant), &Permission::ALL));
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let caller = fixture.client(&format!("{access:?}"), |new| new.access = access).await;
        all.push(sample(caller.actor, access.permissions()));
    }
    for permission in Connection::PERMISSIONS {
        let name = format!("only {}", permission.as_str());
        let caller = fixture.client(&name, |new| new.permissions = Some(vec![permission])).await;
        let permissions = [Permission::ReadUsers, permission];
        all.push(sample(caller.actor, &permissions[usize::from(permission == Permission::ReadUsers)..]));
    }
    all
}

pub(crate) fn unknown_connection() -> ConnectionId {
    ConnectionId(uuid::Uuid::from_u128(99))
}
