//! Every command and query with every actor: it is rejected as forbidden exactly if the actor may not do it.
//!
//! The lists of commands, queries and kinds of actors come from the enums, and the rules here are written down a second
//! time: a new variant does not compile without its rule, and a changed rule fails until both agree.

use crate::actors::{Fixture, Sample, all_actors, unknown_connection};
use directory::{
    Access, AccountAction, ActorKind, Caller, Command, CommandKind, ConnectionEdit, DirectoryError, EventPosition,
    Field, FieldUpdate, FolderEdit, Follower, GroupEdit, IdempotencyKey, ItemKey, ItemKind, ItemQuery, KeyHash, Lease,
    LinkPurpose, Mail, NewConnection, OrganizationEdit, PasswordHash, PasswordLink, PasswordProof, Permission, Purpose,
    PushAttempt, QueryKind, Receipt, RemoteUser, Status, StatusChange, TargetChange, TenantEdit, Time, UserEdit,
    UserId, UserKey, UserQuery,
};
use std::collections::HashSet;
use std::future::Future;
use strum::IntoEnumIterator;
use testkit::conformance::new_user;

/// Who may do something.
#[derive(Default)]
struct Rule {
    permissions: Vec<Permission>,
    tasks: Vec<Purpose>,
    own_account: bool,
    /// Everyone but tasks.
    everyone: bool,
}

impl Rule {
    fn of<const N: usize>(permissions: [Permission; N]) -> Self {
        Self { permissions: permissions.to_vec(), ..Self::default() }
    }

    fn tasks<const N: usize>(self, tasks: [Purpose; N]) -> Self {
        Self { tasks: tasks.to_vec(), ..self }
    }

    fn own_account(self) -> Self {
        Self { own_account: true, ..self }
    }

    fn everyone(self) -> Self {
        Self { everyone: true, ..self }
    }

    fn permits(&self, actor: &Sample) -> bool {
        self.permissions.iter().all(|permission| actor.permissions.contains(permission))
            || actor.task.is_some_and(|task| self.tasks.contains(&task))
            || (self.own_account && actor.is_ann)
            || (self.everyone && actor.task.is_none())
    }
}

/// Commands of a kind, and who may run them.
#[expect(clippy::too_many_lines, reason = "one arm per command, to be read as a table")]
fn samples(kind: CommandKind, ann: UserId) -> Vec<(Command, Rule)> {
    use Permission::{Connections, Credentials, Groups, Installation, ReadUsers, Settings, Targets, WriteUsers};
    let user = || UserKey::Id(ann);
    let one = |command, rule| vec![(command, rule)];
    let edits = |wrap: &dyn Fn(Box<UserEdit>) -> Command| {
        let base = || *new_user("new@example.com");
        let group = FieldUpdate::Set(vec![ItemKey::Number(1)]);
        let no_email = vec![(Field::DoNotEmail, FieldUpdate::Set(true))];
        vec![
            (wrap(Box::new(base())), Rule::of([WriteUsers])),
            (
                wrap(Box::new(UserEdit { password: Some("vier rote fische".to_owned().into()), ..base() })),
                Rule::of([WriteUsers, Credentials]),
            ),
            (
                wrap(Box::new(UserEdit { password_hash: Some(plain_hash()), ..base() })),
                Rule::of([WriteUsers, Credentials]),
            ),
            (wrap(Box::new(UserEdit { clear_password: true, ..base() })), Rule::of([WriteUsers, Credentials])),
            (wrap(Box::new(UserEdit { invite: true, ..base() })), Rule::of([WriteUsers, Credentials])),
            (wrap(Box::new(UserEdit { invite: true, booleans: no_email, ..base() })), Rule::of([WriteUsers])),
            (wrap(Box::new(UserEdit { groups: group.clone(), ..base() })), Rule::of([WriteUsers, Groups])),
            (wrap(Box::new(UserEdit { folders: FieldUpdate::Clear, ..base() })), Rule::of([WriteUsers, Groups])),
        ]
    };
    match kind {
        CommandKind::CreateUser => edits(&Command::CreateUser),
        CommandKind::UpdateUser => edits(&|edit| Command::UpdateUser { user: user(), edit }),
        CommandKind::DeleteUser => one(Command::DeleteUser(user()), Rule::of([WriteUsers])),
        CommandKind::RestoreUser => one(Command::RestoreUser(user()), Rule::of([WriteUsers])),
        CommandKind::PurgeUser => one(Command::PurgeUser(user()), Rule::of([Installation]).tasks([Purpose::Retention])),
        CommandKind::Invite => one(Command::Invite(vec![user()]), Rule::of([Credentials])),
        CommandKind::ChangeStatus => {
            let change = StatusChange { users: vec![user()], to: Status::Suspended, required_status: None };
            one(Command::ChangeStatus(change), Rule::of([WriteUsers]))
        }
        CommandKind::Account => {
            let account = |action| Command::Account { user: ann, action };
            let set_password = |proof| AccountAction::SetPassword {
                password: "vier rote fische".to_owned().into(),
                proof,
                keep_session: None,
                address: None,
            };
            let link = PasswordLink { user: ann, id: uuid::Uuid::nil(), purpose: LinkPurpose::Reset };
            let sign_in = AccountAction::SignIn {
                verified_hash: plain_hash(),
                session_key: None,
                rehashed: None,
                client_ip: None,
            };
            let own = || Rule::of([Credentials]).own_account();
            let proved = || Rule::of([Credentials]).everyone();
            vec![
                (account(sign_in), proved()),
                (account(AccountAction::RequestPasswordReset), proved()),
                (account(set_password(PasswordProof::Link(link))), proved()),
                (account(set_password(PasswordProof::CurrentPassword(plain_hash()))), own()),
                (account(AccountAction::SignOut(KeyHash([1; 32]))), own()),
                (account(AccountAction::SignOutEverywhere), own()),
            ]
        }
        CommandKind::UpdateMail => {
            let mail = Mail::new(uuid::Uuid::nil(), directory::TenantNumber(1), ann, LinkPurpose::Reset, Time(1));
            let command = Command::UpdateMail { mail: Box::new(mail), due: None, outcome: None, starts_attempt: false };
            one(command, Rule::of([Settings]).tasks([Purpose::Mails, Purpose::Retention]))
        }
        CommandKind::CreateGroup => {
            let edit = GroupEdit { name: FieldUpdate::Set("New".into()), ..GroupEdit::default() };
            one(Command::CreateGroup(edit), Rule::of([Groups]))
        }
        CommandKind::UpdateGroup => {
            one(Command::UpdateGroup { group: ItemKey::Number(1), edit: GroupEdit::default() }, Rule::of([Groups]))
        }
        CommandKind::CreateFolder => {
            let edit = FolderEdit { name: FieldUpdate::Set("New".into()), ..FolderEdit::default() };
            one(Command::CreateFolder(edit), Rule::of([Groups]))
        }
        CommandKind::UpdateFolder => {
            let command = Command::UpdateFolder { folder: ItemKey::Number(1), edit: FolderEdit::default() };
            one(command, Rule::of([Groups]))
        }
        CommandKind::CreateOrganization => {
            let edit = OrganizationEdit { name: FieldUpdate::Set("New".into()), ..OrganizationEdit::default() };
            one(Command::CreateOrganization(edit), Rule::of([Groups]))
        }
        CommandKind::UpdateOrganizations => {
            let organizations = vec![ItemKey::Number(1)];
            let command = Command::UpdateOrganizations { organizations, edit: OrganizationEdit::default() };
            one(command, Rule::of([Groups]))
        }
        CommandKind::DeleteItem => {
            one(Command::DeleteItem { kind: ItemKind::Group, item: ItemKey::Number(1) }, Rule::of([Groups]))
        }
        CommandKind::AddDepartment => {
            one(Command::AddDepartment { name: "Sales".into(), number: None }, Rule::of([Groups]))
        }
        CommandKind::AddRole => one(Command::AddRole { name: "Guest".into(), rank: 1 }, Rule::of([Groups])),
        CommandKind::AddTenant => {
            one(Command::AddTenant { name: "Two".into(), number: None }, Rule::of([Installation]))
        }
        CommandKind::UpdateTenant => {
            let remove = TenantEdit { remove: true, ..TenantEdit::default() };
            let redirect =
                TenantEdit { redirect_mails_to: FieldUpdate::Set("test@example.com".into()), ..TenantEdit::default() };
            vec![
                (Command::UpdateTenant(TenantEdit::default()), Rule::of([Settings])),
                (Command::UpdateTenant(remove), Rule::of([Installation])),
                (Command::UpdateTenant(redirect), Rule::of([Settings, Installation])),
            ]
        }
        // A new connection may read users, so the actor must be allowed to.
        CommandKind::AddConnection => {
            let new =
                NewConnection { access: Access::ReadOnly, ..NewConnection::new("new", Vec::new(), KeyHash([1; 32])) };
            one(Command::AddConnection(new), Rule::of([Connections, ReadUsers]))
        }
        CommandKind::AddKey => {
            let (connection, key_hash) = (unknown_connection(), KeyHash([1; 32]));
            one(Command::AddKey { connection, key_hash, revoke_others: false }, Rule::of([Connections]))
        }
        CommandKind::UpdateConnection => {
            let command =
                Command::UpdateConnection { connection: unknown_connection(), edit: ConnectionEdit::default() };
            one(command, Rule::of([Connections]))
        }
        CommandKind::RevokeConnection => one(Command::RevokeConnection(unknown_connection()), Rule::of([Connections])),
        CommandKind::PutTarget => {
            let put = |allowed: &[&str]| {
                let (after, secret) = testkit::fakes::target(directory::TenantNumber(1), "crm");
                let allowed_addresses = allowed.iter().map(|address| (*address).to_owned()).collect();
                let after = directory::Target { allowed_addresses, ..after };
                Command::PutTarget(Box::new(TargetChange { before: None, after, secrets: vec![secret] }))
            };
            vec![(put(&[]), Rule::of([Targets])), (put(&["10.1.0.0/16"]), Rule::of([Targets, Installation]))]
        }
        CommandKind::IfVersion => {
            one(Command::IfVersion(1, Box::new(Command::DeleteUser(user()))), Rule::of([WriteUsers]))
        }
    }
}

fn plain_hash() -> PasswordHash {
    PasswordHash("plain$x".to_owned().into())
}

fn rule_of_query(kind: QueryKind) -> Rule {
    use Permission::{Audit, Connections, Credentials, Installation, ReadUsers, Settings, Targets, WriteUsers};
    match kind {
        QueryKind::Users => Rule::of([ReadUsers]).tasks([Purpose::Mails, Purpose::Gateway]),
        QueryKind::Items | QueryKind::DeletedUsers => Rule::of([ReadUsers]).tasks([Purpose::Gateway]),
        QueryKind::PasswordHashes => Rule::of([Credentials]),
        QueryKind::Tenant => Rule::of([ReadUsers]).tasks(Purpose::ALL).everyone(),
        QueryKind::Tenants => Rule::of([Installation]).tasks([Purpose::Retention, Purpose::Pages, Purpose::Startup]),
        QueryKind::Connections => Rule::of([Connections]),
        QueryKind::AllConnections => Rule::of([Connections, Installation]),
        QueryKind::ConnectionOfKey => Rule::of([Connections, Installation]).tasks([Purpose::Authentication]),
        QueryKind::Mails => Rule::of([Settings]).tasks([Purpose::Retention]),
        QueryKind::MailsDue => Rule::of([Installation]).tasks([Purpose::Mails]),
        QueryKind::Events => Rule::of([Audit]).tasks([Purpose::Gateway]),
        QueryKind::SecurityRecords => Rule::of([Audit]),
        QueryKind::Targets => Rule::of([Targets]).tasks([Purpose::Gateway]),
        QueryKind::AllTargets => Rule::of([Targets, Installation]).tasks([Purpose::Gateway]),
        QueryKind::SecurityRecordsOfNoTenant | QueryKind::AllEvents => Rule::of([Audit, Installation]),
        QueryKind::ImportEvents => Rule::of([WriteUsers]),
        QueryKind::ServerSecret => {
            Rule::of([Installation]).tasks([Purpose::Authentication, Purpose::Mails, Purpose::Pages])
        }
        QueryKind::OwnRequests => Rule::of([ReadUsers]).everyone(),
        QueryKind::Tasks => Rule::of([Installation]).tasks(Purpose::ALL),
        QueryKind::UserOfProof => Rule::of([Credentials]).tasks([Purpose::Mails, Purpose::Retention]).everyone(),
        QueryKind::SessionCount => Rule::of([Credentials]).own_account(),
    }
}

/// Runs every method that sends this kind of query.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of query")]
async fn send(fixture: &Fixture, caller: &Caller, kind: QueryKind) -> Vec<Result<(), DirectoryError>> {
    fn done<T>(result: Result<T, DirectoryError>) -> Result<(), DirectoryError> {
        result.map(drop)
    }
    let (directory, ann) = (&fixture.directory, fixture.ann.id);
    let link = PasswordLink { user: ann, id: uuid::Uuid::nil(), purpose: LinkPurpose::Reset };
    let in_all_tenants = Caller { tenant: Caller::NO_TENANT, ..caller.clone() };
    match kind {
        QueryKind::Users => vec![
            done(directory.user(caller, UserKey::Id(ann)).await),
            done(directory.users(caller, vec![UserKey::Id(ann)]).await),
            done(directory.find_users(caller, UserQuery::default()).await),
        ],
        QueryKind::PasswordHashes => vec![done(directory.password_hashes(caller, 1..=9).await)],
        QueryKind::Items => {
            let key = (ItemKind::Group, ItemKey::Number(1));
            vec![
                done(directory.item(caller, key.0, key.1.clone()).await),
                done(directory.map_items(caller, &[key], |_| ()).await),
                done(directory.find_items(caller, ItemQuery::all(ItemKind::Group)).await),
                done(directory.members_after(caller, directory::ItemId(uuid::Uuid::nil()), 0, 1).await),
            ]
        }
        QueryKind::DeletedUsers => vec![
            done(directory.deleted_user(caller, &[UserKey::Number(9)]).await),
            done(directory.deleted_users(caller, 0, 1).await),
        ],
        QueryKind::Tenant => {
            vec![done(directory.tenant(caller).await), done(directory.tenant_or_removed(caller).await)]
        }
        QueryKind::Tenants => vec![done(directory.tenants(caller).await)],
        QueryKind::Connections => vec![done(directory.connections(caller).await)],
        QueryKind::AllConnections => vec![done(directory.all_connections(caller).await)],
        QueryKind::ConnectionOfKey => vec![
            done(directory.connection(caller, unknown_connection()).await),
            done(directory.connections_by_key_prefix(caller, [0; 4]).await),
        ],
        QueryKind::Mails => vec![done(directory.mails(caller, None, 1).await)],
        QueryKind::MailsDue => vec![done(directory.mails_due(caller, 1).await)],
        QueryKind::Events => vec![
            done(directory.events(caller, EventPosition(0), 1).await),
            done(directory.user_changes(caller, true, EventPosition(0), 1).await),
            done(directory.user_history(caller, ann, EventPosition(0)).await),
            done(directory.chain_hash_at(caller, EventPosition(1)).await),
            done(directory.verify_chain(caller).await),
        ],
        QueryKind::AllEvents => vec![
            done(directory.events(&in_all_tenants, EventPosition(0), 1).await),
            done(directory.verify_chain(&in_all_tenants).await),
        ],
        QueryKind::ImportEvents => vec![
            done(directory.import_events(caller, EventPosition(0)).await),
            done(directory.position_before(caller, Time(1)).await),
        ],
        QueryKind::ServerSecret => vec![done(directory.server_secret(caller, "test").await)],
        QueryKind::SecurityRecords => vec![done(directory.security_records(caller, Time(0), None).await)],
        QueryKind::SecurityRecordsOfNoTenant => {
            vec![done(directory.security_records(&in_all_tenants, Time(0), None).await)]
        }
        QueryKind::OwnRequests => {
            let connection = caller.actor.connection().unwrap_or_else(unknown_connection);
            let key = IdempotencyKey { tenant: caller.tenant, connection, key_hash: [1; 32], fingerprint: [1; 32] };
            vec![done(directory.idempotent_request(caller, key).await)]
        }
        QueryKind::Tasks => {
            let follower = Follower { name: "test".into(), position: EventPosition(0) };
            let lease = Lease { name: "test".into(), holder: uuid::Uuid::nil(), epoch: 1, until: Time(0) };
            vec![
                done(directory.acquire_lease(caller, ("test", uuid::Uuid::nil()), 1).await),
                done(directory.release_lease(caller, &lease).await),
                done(directory.commit_task_rows(caller, Vec::new()).await),
                done(directory.follower(caller, "test", EventPosition(0)).await),
                done(directory.advance_follower(caller, &follower, EventPosition(0), Vec::new()).await),
            ]
        }
        QueryKind::Targets => {
            let attempts = PushAttempt::of_user((caller.tenant, 1), ann);
            let counts = RemoteUser::counts((caller.tenant, 1));
            vec![
                done(directory.targets(caller).await),
                done(directory.target_records::<PushAttempt>(caller, attempts).await),
                done(directory.count_target_records(caller, counts, RemoteUser::COUNTED).await),
                done(directory.remote_users(caller, 1, &[ann]).await),
            ]
        }
        QueryKind::AllTargets => vec![done(directory.targets_and_removed(&in_all_tenants).await)],
        QueryKind::UserOfProof => vec![
            done(directory.user_by_link(caller, &link).await),
            done(directory.user_by_session(caller, ann, &KeyHash([1; 32])).await),
        ],
        QueryKind::SessionCount => vec![done(directory.session_count(caller, ann).await)],
    }
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
}

#[test]
fn actors_of_every_kind_are_tested() {
    block_on(async {
        let fixture = Fixture::new().await;
        let tested: HashSet<ActorKind> =
            all_actors(&fixture).await.iter().map(|sample| ActorKind::from(&sample.caller.actor)).collect();
        assert!(ActorKind::iter().all(|kind| tested.contains(&kind)), "{tested:?}");
    });
}

#[test]
fn every_command_is_forbidden_exactly_to_those_who_may_not_run_it() {
    let (mut permitted, mut forbidden) = (HashSet::new(), HashSet::new());
    block_on(async {
        let count = all_actors(&Fixture::new().await).await.len();
        for kind in CommandKind::iter() {
            for actor in 0..count {
                // Its own fixture: a permitted command changes it.
                let fixture = Fixture::new().await;
                let sample = all_actors(&fixture).await.remove(actor);
                let rules = samples(kind, fixture.ann.id).len();
                for number in 0..rules {
                    let (command, rule) = samples(kind, fixture.ann.id).remove(number);
                    let text = format!("{command:?} by {:?}", sample.caller.actor);
                    let events = fixture.directory.events(&Caller::installation(), EventPosition(0), 1_000).await;
                    let preview = fixture.directory.preview(&sample.caller, &command).await;
                    let result: Result<Receipt, _> = fixture.directory.run(&sample.caller, command).await;
                    let is_forbidden = result == Err(DirectoryError::Forbidden);
                    assert_eq!(is_forbidden, !rule.permits(&sample), "{text}: {result:?}");
                    assert_eq!(preview == Err(DirectoryError::Forbidden), is_forbidden, "{text}: {preview:?}");
                    if is_forbidden {
                        let after = fixture.directory.events(&Caller::installation(), EventPosition(0), 1_000).await;
                        assert_eq!(after, events, "{text} has changed something");
                        forbidden.insert(kind);
                    } else {
                        permitted.insert(kind);
                    }
                }
            }
        }
    });
    let all: HashSet<CommandKind> = CommandKind::iter().collect();
    assert_eq!((&permitted, &forbidden), (&all, &all), "some may run each command, and some may not");
}

#[test]
fn every_query_is_forbidden_exactly_to_those_who_may_not_send_it() {
    block_on(async {
        let fixture = Fixture::new().await;
        let actors = all_actors(&fixture).await;
        for kind in QueryKind::iter() {
            let rule = rule_of_query(kind);
            for sample in &actors {
                for result in send(&fixture, &sample.caller, kind).await {
                    // A connection has no access outside its tenant at all.
                    let is_denied = matches!(result, Err(DirectoryError::Forbidden | DirectoryError::ConnectionEnded));
                    assert_eq!(is_denied, !rule.permits(sample), "{kind:?} by {:?}: {result:?}", sample.caller.actor);
                }
            }
            let count = actors.iter().filter(|sample| rule.permits(sample)).count();
            assert!(count > 0 && (count < actors.len() || kind == QueryKind::Tenant), "{kind:?}");
        }
    });
}
