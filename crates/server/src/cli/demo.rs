//! `muster demo`: everything on a throw-away store, with a curl line to try for each dialect.

use super::output::Output;
use super::{admin, serve};
use crate::settings::Settings;
use crate::{App, new_key};
use anyhow::Context;
use dialects::kit::hash_key;
use directory::{
    Access, Caller, Command, Directory, ExposeSecret, Field, Given, NewConnection, RoleRef, SecretString,
    Status, StatusWish, UserEdit,
};
use serde_json::json;

/// Some people to look at: first name, last name, e-mail, department, status.
const PEOPLE: [(&str, &str, &str, &str, Status); 6] = [
    ("Ada", "Lovelace", "ada@example.com", "Engineering", Status::Active),
    ("Alan", "Turing", "alan@example.com", "Engineering", Status::Active),
    ("Grace", "Hopper", "grace@example.com", "Operations", Status::Active),
    ("Katherine", "Johnson", "katherine@example.com", "Research", Status::Invited),
    ("Edsger", "Dijkstra", "edsger@example.com", "Research", Status::Suspended),
    ("Barbara", "Liskov", "barbara@example.com", "Research", Status::Active),
];

pub(super) fn run(settings: &Settings, output: Output) -> anyhow::Result<()> {
    let mut settings = settings.clone();
    // The terminal is for reading here; the log only speaks up when something is wrong.
    if settings.log_level == "info" {
        settings.log_level = "warn".into();
    }
    serve::start_logging(&settings);
    let folder = Folder::new()?;
    let store = serve::open(&folder.path.join("demo.db"), settings.cache_mib)?;
    let runtime = serve::runtime()?;
    let done = runtime.block_on(async {
        let busy = tokio::net::TcpListener::bind(&settings.listen).await.is_err();
        if busy {
            settings.listen = "127.0.0.1:0".into();
        }
        let (listener, app) = serve::prepare(&settings, &store).await?;
        let caller = populate(&app.directory).await?;
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.address()?);
        let keys = keys(&app.directory, &caller).await?;
        let [onfire, ccs, publisher] = keys.each_ref().map(ExposeSecret::expose_secret);
        let number = caller.tenant.0;
        output.result(
            &json!({"listening": base, "tenant": number, "keys": {"onfire": onfire, "ccs": ccs, "publisher": publisher}}),
            || words(&base, number, [onfire, ccs, publisher]),
        );
        let App { shell, metrics, .. } = app;
        listener.serve(shell, metrics, serve::stop_asked()?).await;
        Ok::<_, anyhow::Error>(())
    });
    store.close();
    done?;
    output.line("\nThe demo is over and its store is gone.");
    Ok(())
}

async fn populate(directory: &Directory) -> anyhow::Result<Caller> {
    let nobody = Caller::terminal(directory::TenantNumber(0));
    let command = Command::AddTenant { name: "Example Ltd".into(), number: None };
    let tenant =
        directory.run(&nobody, command).await.map_err(admin::refused)?.tenant.context("no tenant")?;
    let caller = Caller::terminal(tenant.number);
    for (first, last, email, department, status) in PEOPLE {
        let mut edit = UserEdit {
            department: Given::Value(directory::DepartmentRef::Name(department.into())),
            role: Given::Value(RoleRef::Name("User".into())),
            status: Given::Value(StatusWish::To(status)),
            ..UserEdit::default()
        };
        edit.text(Field::GivenName, Given::Value(first.into()));
        edit.text(Field::FamilyName, Given::Value(last.into()));
        edit.text(Field::Email, Given::Value(email.into()));
        directory.run(&caller, Command::CreateUser(Box::new(edit))).await.map_err(admin::refused)?;
    }
    Ok(caller)
}

/// A connection for each dialect; their keys in the order onfire, ccs, publisher.
async fn keys(directory: &Directory, caller: &Caller) -> anyhow::Result<[SecretString; 3]> {
    let mut keys = Vec::with_capacity(3);
    for dialect in ["onfire", "ccs", "publisher"] {
        let key = new_key()?;
        let new = NewConnection {
            name: format!("demo {dialect}"),
            dialects: vec![dialect.to_owned()],
            access: Access::ReadWrite,
            highest_role: 4,
            expires: None,
            key: hash_key(&key),
        };
        directory.run(caller, Command::AddConnection(new)).await.map_err(admin::refused)?;
        keys.push(SecretString::from(key));
    }
    keys.try_into().map_err(|_| anyhow::anyhow!("three keys"))
}

fn words(base: &str, tenant: u32, [onfire, ccs, publisher]: [&str; 3]) -> String {
    format!(
        "Muster demo on {base}: tenant {tenant}, six people, nothing is kept.

onfire     key {onfire}
  curl '{base}/api/v2/user/search?CompanyId={tenant}&IntegrationKey={onfire}&PageSize=2'
  curl -H 'Content-Type: application/xml' '{base}/api/v2/user?format=xml' -d '<User><CompanyId>{tenant}</CompanyId><Email>new@example.com</Email><FirstName>New</FirstName><IntegrationKey>{onfire}</IntegrationKey><LastName>Person</LastName></User>'

ccs        key {ccs}
  curl -H 'Authorization: Bearer {ccs}' '{base}/request/user/1'

publisher  key {publisher}
  curl -H 'Authorization: Bearer {publisher}' '{base}/api/2/users/ada@example.com'

The APIs in full: {base}/docs      Stop with Ctrl-C."
    )
}

/// A folder that goes when it is dropped.
struct Folder {
    path: std::path::PathBuf,
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("muster-demo-{}", new_key()?));
        let mut maker = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut maker, 0o700);
        maker.create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}
