//! Faults of the server engine: two processes on one database, the database, and the connections between them.

use super::program::Program;
use super::readiness;
use super::world::World;
use super::{Site, recovered};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::chance::Dice;
use testkit::postgres::Cluster;
use testkit::proxy::{Meddling, Proxy};

/// How many processes share the database.
pub(super) const PROCESSES: usize = 2;

pub(super) struct Networked {
    // In this order, so that the processes end before the database does.
    programs: Vec<Program>,
    proxies: Vec<Proxy>,
    cluster: Cluster,
    store: String,
    /// Whether the proxies spoil commits.
    is_spoiling: Arc<AtomicBool>,
}

impl Networked {
    pub(super) fn new() -> Self {
        let isolation = std::env::var("MUSTER_TEST_ISOLATION").ok().filter(|level| !level.is_empty());
        let isolation = isolation.map(|level| format!("'{level}'"));
        let settings: Vec<(&str, &str)> =
            isolation.iter().map(|level| ("default_transaction_isolation", level.as_str())).collect();
        let cluster = Cluster::start(&settings);
        let store = cluster.database();
        let server = format!("127.0.0.1:{}", cluster.port());
        let is_spoiling = Arc::new(AtomicBool::new(false));
        let proxies: Vec<Proxy> =
            (0..PROCESSES).map(|_| Proxy::start(&server, spoiler(Arc::clone(&is_spoiling)))).collect();
        let programs =
            proxies.iter().enumerate().map(|(n, proxy)| Program::new(n, &proxy.url(&store))).collect();
        Self { programs, proxies, cluster, store, is_spoiling }
    }
}

/// Spoils a third of all commits in one of several ways, while it is told to.
fn spoiler(is_spoiling: Arc<AtomicBool>) -> impl Fn(u64) -> Meddling + Send + Sync + 'static {
    move |number| {
        let mut dice = Dice::new(number);
        if !is_spoiling.load(Ordering::SeqCst) || dice.roll(3) > 0 {
            return Meddling::Pass;
        }
        let time = Duration::from_millis(20 + dice.roll(300));
        let kinds = [
            Meddling::SerializationFailure,
            Meddling::Deadlock,
            Meddling::CutBefore,
            Meddling::CutAfter,
            Meddling::CutThenCommit(time),
            Meddling::Delay(time),
        ];
        *dice.pick(&kinds)
    }
}

impl Site for Networked {
    fn start(&mut self, world: &World) {
        for program in &mut self.programs {
            program.start(world).expect("the first start");
        }
    }

    fn kinds(&self) -> Vec<&'static str> {
        vec![
            "kill database",
            "stop database",
            "kill process",
            "stop process",
            "cut",
            "hang",
            "spoil",
            "backup",
        ]
    }

    fn cause(&mut self, kind: &str, world: &World, dice: &mut Dice, is_short: bool) {
        let one = usize::try_from(dice.roll(PROCESSES as u64)).expect("small");
        let mut time = |short: u64, longest: u64| {
            Duration::from_millis(if is_short { short } else { 300 + dice.roll(longest) })
        };
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
                self.programs[one].start_again(world);
            }
            "stop process" => {
                world.begin_fault("one process stopped and continued");
                self.programs[one].signal("STOP");
                std::thread::sleep(time(2_000, 15_000));
                self.programs[one].signal("CONT");
            }
            "cut" => {
                world.begin_fault("connections of one process cut");
                self.proxies[one].cut_all();
                std::thread::sleep(time(200, 6_000));
                self.proxies[one].resume();
            }
            "hang" => {
                world.begin_fault("connections of one process hang");
                self.proxies[one].hang();
                std::thread::sleep(time(2_000, 12_000));
                self.proxies[one].resume();
            }
            "spoil" => {
                world.begin_fault("a third of all commits spoiled");
                self.is_spoiling.store(true, Ordering::SeqCst);
                // Writes may fail meanwhile and the servers be ready, which is right only for so long.
                std::thread::sleep(time(1_000, 2_500));
                self.is_spoiling.store(false, Ordering::SeqCst);
            }
            _ => {
                let number = dice.roll(1 << 32);
                super::checks::back_up(world, &self.store, self.programs[0].folder(), number);
                return;
            }
        }
        if kind.ends_with("process") || ["cut", "hang"].contains(&kind) {
            readiness::expect_others_to_write(world, one, begun);
        }
        world.end_fault();
        recovered(world, || self.programs.iter().map(Program::log).collect());
        for program in &mut self.programs {
            if !program.is_running() {
                world.violation(&format!("a process has ended by itself: {}", program.log()));
                program.kill(world);
                program.start_again(world);
            }
        }
    }

    fn store(&self) -> &str {
        &self.store
    }

    fn end(&mut self, world: &World) {
        for program in &mut self.programs {
            program.terminate(world);
        }
    }
}
