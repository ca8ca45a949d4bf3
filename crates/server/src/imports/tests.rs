//! Imports that panic, imports whose result could not be recorded, and keys of imports.

use super::keys::ImportKey;
use super::receive::CompletedUpload;
use super::*;
use directory::{
    Actor, BoxFuture, Client, Command, ExposeSecret, Field, FieldUpdate, KeyHash, NewConnection, Overloaded,
    PasswordHash, PasswordHasher, PasswordVerification, SecretString, TenantNumber, UserEdit, UserKey,
};
use testkit::fakes::{CountingIds, PlainHasher, StepClock};

/// A hasher that panics for one password.
struct Panicking;

impl PasswordHasher for Panicking {
    fn hash(&self, tenant: TenantNumber, password: SecretString) -> BoxFuture<'_, Result<PasswordHash, Overloaded>> {
        assert!(password.expose_secret() != "a password that panics", "it panics");
        PlainHasher.hash(tenant, password)
    }

    fn verify(
        &self,
        tenant: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>> {
        PlainHasher.verify(tenant, password, stored)
    }

    fn can_verify(&self, stored: &PasswordHash) -> bool {
        PlainHasher.can_verify(stored)
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    directory: Arc<Directory>,
    caller: Caller,
}

impl Fixture {
    async fn new() -> Self {
        let (clock, ids) = (Arc::new(StepClock::default()), Arc::new(CountingIds::default()));
        let store = Arc::new(store::Memory::new());
        let directory = Arc::new(Directory::new(store, clock, ids, Arc::new(Panicking)));
        let operator = testkit::conformance::create_tenant(&directory, "One").await;
        let new = NewConnection::new("files", vec!["files".into()], KeyHash([1; 32]));
        directory.run(&operator, Command::AddConnection(new)).await.expect("a connection");
        let connection = directory.connections(&operator).await.expect("listed").remove(0);
        let client = Client {
            id: connection.id,
            name: connection.name,
            highest_role: connection.highest_role,
            user: None,
            dialect: "files".into(),
        };
        let caller = Caller::new(operator.tenant, Actor::Connection(client));
        Self { folder: tempfile::tempdir().expect("a folder"), directory, caller }
    }

    /// Imports as after a restart.
    fn imports(&self) -> Arc<Imports> {
        let storage = StorageLimits { min_free: 0, ..StorageLimits::default() };
        Arc::new(Imports::new(self.folder.path(), storage, Arc::clone(&self.directory)))
    }

    fn send(&self, imports: &Imports, rows: &str) -> Uuid {
        let params = vec![("update".to_owned(), "true".to_owned())];
        let id = imports.create_import(&self.caller, Some("text/csv"), &params).expect("created").id;
        std::fs::write(imports.path(id, "data"), rows).expect("written");
        imports.complete_upload(id, None).expect("queued");
        id
    }

    /// Runs imports until these have ended, and returns their states.
    async fn work(&self, imports: &Arc<Imports>, until_ended: &[Uuid]) -> Vec<Value> {
        let ended = async {
            loop {
                let states: Vec<Value> =
                    until_ended.iter().filter_map(|id| imports.get_import(&self.caller, *id)).collect();
                if states.iter().all(|state| state["ended"].is_string()) {
                    return states;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = Arc::clone(imports).run(std::future::pending()) => unreachable!("it is not stopped"),
            states = tokio::time::timeout(Duration::from_hours(1), ended) => states.expect("in time"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_that_panics_twice_is_set_aside() {
    let test_app = Fixture::new().await;
    let imports = test_app.imports();
    let bad = test_app.send(&imports, "email,password\nann@x.y,a password that panics\n");
    let good = test_app.send(&imports, "email,password\nbob@x.y,a good password\n");
    let states = test_app.work(&imports, &[bad, good]).await;
    assert_eq!((&states[0]["status"], &states[1]["status"]), (&json("failed"), &json("done")));
    let error = states[0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("twice") && error.contains(&bad.to_string()), "{error}");
    let panics = Job::read(&imports.path(bad, "json")).map(|job| job.panics);
    assert_eq!(panics, Some(2));
    assert!(test_app.directory.user(&test_app.caller, UserKey::Email("bob@x.y".into())).await.is_ok());
    assert!(test_app.directory.user(&test_app.caller, UserKey::Email("ann@x.y".into())).await.is_err());
}

/// The process ended after it wrote the result and before it replaced the state: the result is recorded, and
/// nothing is executed again.
#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_recorded_is_recorded_after_a_restart() {
    let test_app = Fixture::new().await;
    let imports = test_app.imports();
    let id = test_app.send(&imports, "email,display name\nann@x.y,From the file\n");
    let state = imports.path(id, "json");
    let queued = std::fs::read(&state).expect("read");
    test_app.work(&imports, &[id]).await;
    let ended = std::fs::read(&state).expect("read");
    std::fs::write(&state, queued).expect("written");
    std::fs::write(imports.path(id, job::RESERVED_EXTENSION), &ended).expect("written");
    std::fs::write(imports.path(id, "data"), "email,display name\nann@x.y,From the file\n").expect("written");
    let user = UserKey::Email("ann@x.y".into());
    let mut edit = UserEdit::default();
    edit.set_text(Field::DisplayName, FieldUpdate::Set("Newer".into()));
    let command = Command::UpdateUser { user: user.clone(), edit: Box::new(edit) };
    test_app.directory.run(&test_app.caller, command).await.expect("changed");
    let restarted = test_app.imports();
    let states = test_app.work(&restarted, &[id]).await;
    assert_eq!((&states[0]["status"], &states[0]["report"]["people"]["created"]), (&json("done"), &1.into()));
    let found = test_app.directory.user(&test_app.caller, user).await.expect("found");
    assert_eq!(found.text(Field::DisplayName), Some("Newer"));
    assert_eq!(std::fs::read(&state).expect("read"), ended);
    assert_eq!(std::fs::read_dir(test_app.folder.path()).expect("read").count(), 1, "only the state is left");
}

/// The process ended after it recorded the result and before it removed the uploaded file.
#[tokio::test(start_paused = true)]
async fn the_file_of_an_import_that_has_ended_is_removed_after_a_restart() {
    let test_app = Fixture::new().await;
    let imports = test_app.imports();
    let id = test_app.send(&imports, "email\nann@x.y\n");
    test_app.work(&imports, &[id]).await;
    let data = imports.path(id, "data");
    std::fs::write(&data, "email\nann@x.y\n").expect("written");
    let restarted = test_app.imports();
    let next = test_app.send(&restarted, "email\nbob@x.y\n");
    let states = test_app.work(&restarted, &[id, next]).await;
    assert_eq!((&states[0]["status"], &states[0]["report"]["people"]["created"]), (&json("done"), &1.into()));
    assert!(!data.exists());
}

/// The key of an import holds across processes, until its import is gone.
#[tokio::test(start_paused = true)]
async fn a_key_creates_one_import() {
    let test_app = Fixture::new().await;
    let (first, second) = (test_app.imports(), test_app.imports());
    let upload = |imports: &Imports, key| {
        let id = imports.create_import(&test_app.caller, Some("text/csv"), &Vec::new()).expect("created").id;
        std::fs::write(imports.path(id, "data"), "email\nann@x.y\n").expect("written");
        let completed = imports.complete_upload(id, Some(key)).expect("no error");
        (id, completed)
    };
    let [key, other_request, other_key] = [(1, 1), (1, 2), (2, 1)].map(ImportKey::for_test);
    let (id, completed) = upload(&first, key);
    assert!(matches!(completed, CompletedUpload::Queued));
    assert!(matches!(upload(&second, key).1, CompletedUpload::Repeated(earlier, _) if earlier == id));
    assert!(matches!(upload(&second, other_request).1, CompletedUpload::KeyReused));
    assert!(matches!(upload(&second, other_key).1, CompletedUpload::Queued));
    let job = Job::read(&first.path(id, "json")).expect("the import");
    let locked = first.lock_key(job.key.expect("a key")).expect("no error").expect("not locked");
    assert!(matches!(upload(&second, key).1, CompletedUpload::KeyInUse));
    drop(locked);
    // A state that cannot be read is not taken for a missing one.
    let state = std::fs::read(first.path(id, "json")).expect("read");
    std::fs::write(first.path(id, "json"), "{").expect("written");
    let next = second.create_import(&test_app.caller, Some("text/csv"), &Vec::new()).expect("created").id;
    std::fs::write(second.path(next, "data"), "email\nann@x.y\n").expect("written");
    assert!(second.complete_upload(next, Some(key)).is_err());
    std::fs::write(first.path(id, "json"), state).expect("written");
    // A repeat after the file was lost is a new import.
    std::fs::remove_file(first.path(id, "data")).expect("removed");
    let states = test_app.work(&first, &[id]).await;
    assert_eq!(states[0]["status"], json("failed"));
    assert!(matches!(upload(&second, key).1, CompletedUpload::Queued));
}

fn json(text: &str) -> Value {
    Value::String(text.to_owned())
}
