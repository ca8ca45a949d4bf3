//! Puts the house together: store, ports, directory, gate, shell.

use crate::brake::BadKeys;
use crate::imports::StorageLimits;
use crate::routes::Routes;
use crate::{Imports, Metrics, Shell};
use adapters::{PasswordPool, Strength, SystemClock};
use dialects::kit::{Concurrency, Desk, Gate, Seals, Walks};
use directory::{Clock, Directory, Hasher, Ids, KeyHash, Store};
use portal::Portal;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The bounds a server keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body in bytes.
    pub body: usize,
    /// Time for a body to arrive.
    pub body_time: Duration,
    /// Time for a request to be answered, the body's time not counted.
    pub answer_time: Duration,
    /// Bad keys a minute from one address before it is slowed down.
    pub bad_keys: NonZeroU32,
    /// Hash of the token for `/metrics` on the public listener; `None` disables them there.
    pub metrics_token: Option<KeyHash>,
    /// Proxies whose word is taken for where a request comes from.
    pub trusted_proxies: Vec<IpAddr>,
    /// Storage limits of import files.
    pub storage: StorageLimits,
    /// Threads that hash passwords.
    pub hash_threads: usize,
    /// Passwords that may wait for them.
    pub hash_queue: usize,
    /// How hard passwords are to guess from their hashes.
    pub strength: Strength,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 * 1024 * 1024,
            body_time: Duration::from_secs(30),
            answer_time: Duration::from_secs(30),
            bad_keys: NonZeroU32::MIN.saturating_add(59),
            metrics_token: None,
            trusted_proxies: Vec::new(),
            storage: StorageLimits::default(),
            hash_threads: PasswordPool::default_threads(),
            hash_queue: PasswordPool::DEFAULT_QUEUE,
            strength: Strength::STANDARD,
        }
    }
}

/// A server without its door: what tests call and the listener serves.
pub struct App {
    /// The directory.
    pub directory: Arc<Directory>,
    /// What answers requests.
    pub shell: Arc<Shell>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Imports that were sent to it, where they are kept.
    pub imports: Option<Arc<Imports>>,
}

/// What a house is built on.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New identities.
    pub ids: Arc<dyn Ids>,
    /// What hashes passwords; threads of its own, as the limits say, when nothing is given.
    pub hasher: Option<Arc<dyn Hasher>>,
}

impl Parts {
    /// On a store, by the machine's clock.
    pub fn new(store: Arc<dyn Store>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock: Arc::new(SystemClock), ids, hasher: None }
    }
}

/// How a house is seen from outside.
#[derive(Clone, Debug, Default)]
pub struct Face {
    /// Scheme and host for links in answers; what a client called it, when not set.
    pub public_url: Option<String>,
    /// Scheme and address where it listens: the issuer of tokens, when there is no public URL.
    pub address: Option<String>,
    /// Whether TLS is spoken here.
    pub is_tls: bool,
    /// Whether browsers reach it from other machines, so that cookies must go over TLS.
    pub has_secure_cookies: bool,
    /// Where imports are kept that are sent to it; it takes none, when nothing is said.
    pub imports: Option<PathBuf>,
}

/// The house over a store.
pub fn app(parts: Parts, limits: Limits, face: Face) -> anyhow::Result<App> {
    let Parts { store, clock, ids, hasher } = parts;
    let hasher = match hasher {
        Some(hasher) => hasher,
        None => Arc::new(PasswordPool::start(limits.hash_threads, limits.hash_queue, limits.strength)?),
    };
    let directory = Directory::new(store, clock, Arc::clone(&ids), hasher);
    let directory = Arc::new(directory);
    let metrics = Arc::new(Metrics::default());
    let imports =
        face.imports.map(|folder| Arc::new(Imports::new(folder, limits.storage, Arc::clone(&directory))));
    let routes = Arc::new(Routes::new()?);
    let public_url = face.public_url.map(|url| url.trim_end_matches('/').to_owned());
    let desk = Desk {
        directory: Arc::clone(&directory),
        gate: Gate::new(Box::new(BadKeys::new(limits.bad_keys))),
        issuer: public_url.clone().or(face.address),
        public_url,
        secure: face.is_tls,
        body_limit: limits.body,
        seals: Seals::default(),
        walks: Walks::default(),
        concurrency: Concurrency::default(),
        routes: Arc::clone(&routes) as _,
        transfers: imports.clone().map(|imports| imports as Arc<dyn dialects::transfer::Transfers>),
    };
    let portal = Portal::new(Arc::clone(&directory), face.has_secure_cookies);
    let shell = Shell::new(desk, routes, portal, Arc::clone(&metrics), ids.as_ref(), limits, imports.clone());
    let shell = Arc::new(shell);
    Ok(App { directory, shell, metrics, imports })
}
