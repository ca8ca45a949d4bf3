//! A `PgBouncer` in transaction mode, as hosting providers run it in front of a database: each transaction of a client
//! may run on another server connection.

use super::process_guard::ProcessGuard;
use super::{Cluster, free_port, query};
use std::net::TcpStream;
use std::path::Path;

/// A `PgBouncer` in front of one database of a cluster. It stops as a [`Cluster`] does.
pub struct PgBouncer {
    _keeper: ProcessGuard,
    url: String,
}

impl PgBouncer {
    pub fn start(cluster: &Cluster, database_url: &str) -> Self {
        let name = database_url.rsplit('/').next().expect("a URL ends in a name");
        let name = name.split('?').next().unwrap_or(name);
        let server = cluster.port();
        let keeper = ProcessGuard::new();
        for _ in 0..5 {
            let port = free_port();
            let settings = settings(name, server, port, keeper.folder());
            let file = keeper.folder().join("settings.ini");
            std::fs::write(&file, settings).expect("written");
            let file = file.to_str().expect("a path in UTF-8");
            let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
            if keeper.start(Path::new("pgbouncer"), &[file], answers) {
                let url = format!("postgres://muster@127.0.0.1:{port}/{name}");
                assert_eq!(query(&url, "SELECT 1"), "1", "PgBouncer forwards queries");
                return Self { _keeper: keeper, url };
            }
        }
        panic!("PgBouncer does not start: {}", keeper.log());
    }

    /// The URL of the database through `PgBouncer`.
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

fn settings(name: &str, server: u16, port: u16, folder: &Path) -> String {
    format!(
        "[databases]\n{name} = host=127.0.0.1 port={server} dbname={name} user=muster\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n\
         pool_mode = transaction\nmax_client_conn = 1000\ndefault_pool_size = 20\n\
         unix_socket_dir = {}\n",
        folder.display()
    )
}
