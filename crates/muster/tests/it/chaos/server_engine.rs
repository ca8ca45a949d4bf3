//! Faults with PostgreSQL: of two processes, of their database, and of the connections between them.

use super::readiness;
use super::server_process::ServerProcess;
use super::shared_state::SharedState;
use super::{Deployment, wait_for_recovery};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::generators::Rng;
use testkit::postgres::Cluster;
use testkit::proxy::{Fault, Proxy};

/// Processes that share the database.
pub(super) const PROCESSES: usize = 2;

pub(super) struct ServerSetup {
    // In this drop order, so that the processes end before the database.
    programs: Vec<ServerProcess>,
    proxies: Vec<Proxy>,
    cluster: Cluster,
    store: String,
    /// Whether the proxies inject commit faults.
    inject_faults: Arc<AtomicBool>,
}

impl ServerSetup {
    pub(super) fn new() -> Self {
        let isolation = std::env::var("MUSTER_TEST_ISOLATION").ok().filter(|level| !level.is_empty());
        let isolation = isolation.map(|level| format!("'{level}'"));
        let settings: Vec<(&str, &str)> =
            isolation.iter().map(|level| ("default_transaction_isolation", level.as_str())).collect();
        let cluster = Cluster::start(&settings);
        let store = cluster.create_database();
        let server = format!("127.0.0.1:{}", cluster.port());
        let is_spoiling = Arc::new(AtomicBool::new(false));
        let proxies: Vec<Proxy> =
            (0..PROCESSES).map(|_| Proxy::start(&server, fault_chooser(Arc::clone(&is_spoiling)))).collect();
        let programs = proxies.iter().enumerate().map(|(n, proxy)| ServerProcess::new(n, &proxy.url(&store))).collect();
        Self { programs, proxies, cluster, store, inject_faults: is_spoiling }
    }
}

/// Injects random faults into a third of all commits while `is_spoiling` is set.
fn fault_chooser(is_spoiling: Arc<AtomicBool>) -> impl Fn(u64) -> Fault + Send + Sync + 'static {
    move |number| {
        let mut rng = Rng::new(number);
        if !is_spoiling.load(Ordering::SeqCst) || rng.below(3) > 0 {
            return Fault::Pass;
        }
        let time = Duration::from_millis(20 + rng.below(300));
        let kinds = [
            Fault::SerializationFailure,
            Fault::Deadlock,
            Fault::DisconnectBefore,
            Fault::DisconnectAfter,
            Fault::DisconnectThenCommit(time),
            Fault::Delay(time),
        ];
        *rng.choose(&kinds)
    }
}

impl Deployment for ServerSetup {
    fn start(&mut self, world: &SharedState) {
        for program in &mut self.programs {
            program.start(world).expect("the first start");
        }
    }

    fn fault_kinds(&self) -> Vec<&'static str> {
        vec!["kill database", "stop database", "kill process", "stop process", "cut", "hang", "spoil", "backup"]
    }

    fn inject(&mut self, kind: &str, world: &SharedState, rng: &mut Rng, is_short: bool) {
        let one = usize::try_from(rng.below(PROCESSES as u64)).expect("small");
        let mut time =
            |short: u64, longest: u64| Duration::from_millis(if is_short { short } else { 300 + rng.below(longest) });
        let begun = Instant::now();
        match kind {
            "kill database" => {
                world.begin_fault("database killed");
                self.cluster.kill();
                std::thread::sleep(time(300, 10_000));
                self.cluster.restart();
            }
            "stop database" => {
                world.begin_fault("database stopped and continued");
                self.cluster.suspend();
                std::thread::sleep(time(6_000, 15_000));
                self.cluster.resume();
            }
            "kill process" => {
                world.begin_fault("one process killed");
                self.programs[one].kill(world);
                std::thread::sleep(time(500, 5_000));
                self.programs[one].restart(world);
            }
            "stop process" => {
                world.begin_fault("one process stopped and continued");
                self.programs[one].signal("STOP");
                std::thread::sleep(time(2_000, 15_000));
                self.programs[one].signal("CONT");
            }
            "cut" => {
                world.begin_fault("connections of one process cut");
                self.proxies[one].disconnect_all();
                std::thread::sleep(time(200, 6_000));
                self.proxies[one].resume();
            }
            "hang" => {
                world.begin_fault("connections of one process hang");
                self.proxies[one].stall();
                std::thread::sleep(time(2_000, 12_000));
                self.proxies[one].resume();
            }
            "spoil" => {
                world.begin_fault("a third of all commits spoiled");
                self.inject_faults.store(true, Ordering::SeqCst);
                // Writes may fail while the servers are ready, which is accepted only for this short time.
                std::thread::sleep(time(1_000, 2_500));
                self.inject_faults.store(false, Ordering::SeqCst);
            }
            _ => {
                let number = rng.below(1 << 32);
                super::checks::verify_backup(world, &self.store, self.programs[0].folder(), number);
                return;
            }
        }
        if kind.ends_with("process") || ["cut", "hang"].contains(&kind) {
            readiness::assert_others_write(world, one, begun);
        }
        world.end_fault();
        wait_for_recovery(world, || self.programs.iter().map(ServerProcess::log).collect());
        for program in &mut self.programs {
            if !program.is_running() {
                world.violation(&format!("a process exited unexpectedly: {}", program.log()));
                program.kill(world);
                program.restart(world);
            }
        }
    }

    fn store(&self) -> &str {
        &self.store
    }

    fn stop(&mut self, world: &SharedState) {
        for program in &mut self.programs {
            program.terminate(world);
        }
    }
}
