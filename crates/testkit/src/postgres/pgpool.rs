//! A Pgpool-II load balancer in front of a primary and a standby: reads outside a transaction go to the standby.

use super::process_guard::ProcessGuard;
use super::{Cluster, free_port, query};
use std::net::TcpStream;
use std::path::Path;

/// A Pgpool-II that sends every read to the standby. It stops as a [`Cluster`] does.
pub struct Pgpool {
    guard: ProcessGuard,
    port: u16,
}

impl Pgpool {
    pub fn start(primary: &Cluster, standby: &Cluster) -> Self {
        let keeper = ProcessGuard::new();
        for _ in 0..5 {
            let (port, control) = (free_port(), free_port());
            let file = keeper.folder().join("pgpool.conf");
            std::fs::write(&file, settings(primary, standby, (port, control), keeper.folder())).expect("written");
            let file = file.to_str().expect("a path in UTF-8");
            let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
            if keeper.start(Path::new("pgpool"), &["-n", "-f", file], answers) {
                return Self { guard: keeper, port };
            }
        }
        panic!("Pgpool-II does not start: {}", keeper.log());
    }

    /// The URL of a database through Pgpool-II.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://muster@127.0.0.1:{}/{name}", self.port)
    }

    /// Whether reads of this database go to a server in recovery.
    pub fn reads_from_standby(&self, name: &str) -> bool {
        query(&self.url(name), "SHOW transaction_read_only") == "on"
    }

    pub fn log(&self) -> String {
        self.guard.log()
    }
}

fn settings(primary: &Cluster, standby: &Cluster, ports: (u16, u16), folder: &Path) -> String {
    let (port, control, folder) = (ports.0, ports.1, folder.display());
    format!(
        "backend_clustering_mode = 'streaming_replication'\nload_balance_mode = on\n\
         listen_addresses = '127.0.0.1'\nport = {port}\npcp_port = {control}\n\
         socket_dir = '{folder}'\npcp_socket_dir = '{folder}'\nlogdir = '{folder}'\npid_file_name = '{folder}/pgpool.pid'\n\
         backend_hostname0 = '127.0.0.1'\nbackend_port0 = {}\nbackend_weight0 = 0\n\
         backend_hostname1 = '127.0.0.1'\nbackend_port1 = {}\nbackend_weight1 = 1\n\
         num_init_children = 40\nmax_pool = 1\nenable_pool_hba = off\n\
         sr_check_user = 'muster'\nsr_check_period = 1\nhealth_check_user = 'muster'\nhealth_check_period = 1\n",
        primary.port(),
        standby.port()
    )
}
