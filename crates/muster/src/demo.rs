//! `muster demo`: a server on a temporary store with sample users, and a curl command for each dialect.

use crate::serve::{self, PreparedServer};
use adapters::{OpenMode, generate_api_key};
use anyhow::Context;
use cli::{Output, ServerSettings, Settings, directory_error};
use dialects::kit::hash_key;
use dialects::{CurlTarget, Dialect};
use directory::{
    Caller, Command, Directory, ExposeSecret, Field, FieldUpdate, NewConnection, RequestedStatus, RoleRef,
    SecretString, Status, UserEdit,
};
use gateway::MasterKeySource;
use outbound::{MailSender, MailSummary};
use portal::mail::DEFAULT_RETRY_POLICY;
use serde_json::{Value, json};
use server::{BackgroundTasks, GatewayConfig, MailConfig};
use std::sync::Arc;

/// `EnterpriseAdmin`.
const HIGHEST_ROLE: u32 = 4;

/// First name, last name, email, department, status.
const DEMO_USERS: [(&str, &str, &str, &str, Status); 6] = [
    ("Ada", "Lovelace", "ada@example.com", "Engineering", Status::Active),
    ("Alan", "Turing", "alan@example.com", "Engineering", Status::Active),
    ("Grace", "Hopper", "grace@example.com", "Operations", Status::Active),
    ("Katherine", "Johnson", "katherine@example.com", "Research", Status::Invited),
    ("Edsger", "Dijkstra", "edsger@example.com", "Research", Status::Suspended),
    ("Barbara", "Liskov", "barbara@example.com", "Research", Status::Active),
];

pub(crate) fn run(settings: &Settings, server: &ServerSettings, output: Output) -> anyhow::Result<()> {
    let (mut store, mut settings) = (settings.store_settings(), server.clone());
    // The terminal shows the demo's instructions, so log only problems.
    if settings.log_level == tracing::Level::INFO {
        settings.log_level = tracing::Level::WARN;
    }
    serve::start_logging(&settings);
    let folder = TempDir::new()?;
    store.location = folder.path.join("demo.db").to_string_lossy().into_owned();
    let opened = store.engine()?.open(OpenMode::Create)?;
    let runtime = cli::runtime()?;
    let result = runtime.block_on(async {
        let is_in_use = tokio::net::TcpListener::bind(&settings.listen).await.is_err();
        if is_in_use {
            settings.listen = "127.0.0.1:0".into();
        }
        settings.admin_listen.get_or_insert_with(|| "127.0.0.1:0".into());
        let PreparedServer { listener, admin, app } = serve::prepare(&settings, &store, &opened).await?;
        let caller = populate(&app.directory).await?;
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.address()?);
        let keys = create_connections(&app.directory, &caller).await?;
        let number = caller.tenant.0;
        let stop = serve::shutdown_signal()?;
        let keys_json: serde_json::Map<String, Value> =
            keys.iter().map(|(dialect, key)| (dialect.name.to_owned(), json!(key.expose_secret()))).collect();
        output.try_result(&json!({"listening": base, "tenant": number, "keys": keys_json}), || {
            banner(&base, number, &keys)
        })?;
        let on_mail = Arc::new(move |sent: MailSummary| {
            if !output.json {
                drop(output.try_line(&format!("\nMail sent to {}. Its link:\n  {}", sent.to, sent.link)));
            }
        });
        let sender = MailSender::spool(&folder.path.join("mail"), "demo@example.com", Some(on_mail))?;
        let mail = MailConfig { sender, base_url: base, retry_policy: DEFAULT_RETRY_POLICY };
        let keys = MasterKeySource(store.sibling_path("key"));
        let background =
            BackgroundTasks::start(&app, mail, GatewayConfig { keys, attempt_days: settings.push_attempt_days });
        serve::serve_both(listener, admin, &app, stop).await;
        background.stop().await;
        Ok::<_, anyhow::Error>(())
    });
    opened.close();
    result?;
    output.line("\nDemo stopped. Its store was deleted.");
    Ok(())
}

async fn populate(directory: &Directory) -> anyhow::Result<Caller> {
    let no_tenant = Caller::operator(directory::TenantNumber(0));
    let command = Command::AddTenant { name: "Example Ltd".into(), number: None };
    let tenant = directory.run(&no_tenant, command).await.map_err(directory_error)?.tenant.context("no tenant")?;
    let caller = Caller::operator(tenant.number);
    for (first, last, email, department, status) in DEMO_USERS {
        let mut edit = UserEdit {
            department: FieldUpdate::Set(directory::DepartmentRef::Name(department.into())),
            role: FieldUpdate::Set(RoleRef::Name("User".into())),
            status: FieldUpdate::Set(RequestedStatus::Exact(status)),
            ..UserEdit::default()
        };
        edit.set_text(Field::GivenName, FieldUpdate::Set(first.into()));
        edit.set_text(Field::FamilyName, FieldUpdate::Set(last.into()));
        edit.set_text(Field::Email, FieldUpdate::Set(email.into()));
        directory.run(&caller, Command::CreateUser(Box::new(edit))).await.map_err(directory_error)?;
    }
    Ok(caller)
}

type DialectKey = (&'static Dialect, SecretString);

async fn create_connections(directory: &Directory, caller: &Caller) -> anyhow::Result<Vec<DialectKey>> {
    let mut keys = Vec::new();
    for dialect in dialects::USER_APIS.iter().copied() {
        let key = generate_api_key()?;
        let name = format!("demo {}", dialect.name);
        let mut new = NewConnection::new(name, vec![dialect.name.to_owned()], hash_key(&key));
        // High enough for all examples in the API documentation.
        new.highest_role = HIGHEST_ROLE;
        directory.run(caller, Command::AddConnection(new)).await.map_err(directory_error)?;
        keys.push((dialect, SecretString::from(key)));
    }
    Ok(keys)
}

fn banner(url: &str, tenant: u32, keys: &[DialectKey]) -> String {
    let people = DEMO_USERS.len();
    let mut text = format!("Muster demo at {url}: tenant {tenant} with {people} users. Nothing is kept.\n");
    for (dialect, key) in keys {
        let key = key.expose_secret();
        text.push_str(&format!("\n{:<10} key {key}\n", dialect.name));
        for line in (dialect.curl_examples)(&CurlTarget { url, tenant, key, email: DEMO_USERS[0].2 }) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text.push_str(&format!("\nAPI documentation: {url}/docs      Stop with Ctrl-C."));
    text
}

/// A directory that is deleted on drop.
struct TempDir {
    path: std::path::PathBuf,
}

impl TempDir {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("muster-demo-{}", generate_api_key()?));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}
