//! Slow hashing of passwords in a pool of its own: a few threads that each keep their memory, and a short queue before
//! them.
//!
//! A password costs as much as hundreds of creates, so hashing never runs where requests or writes do, never takes
//! more memory than threads × 19 MiB (more for a moment where another system has stored a password so), and refuses
//! rather than queues without end. The threads run when nobody else would, so that whoever asks for many sign-ins does not
//! slow down what needs no password. One more thread of normal priority works for up to a quarter of the time, and computes
//! again what an idle one has begun and does not finish, so that sign-ins go on where the processors are never idle.

use crate::stored::{Stored, Way};
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{ExposeSecret, Hasher, Overloaded, Pending, SecretString, StoredPassword, Verdict};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How hard passwords are to guess from their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Strength {
    /// What OWASP recommends for Argon2id: 19 MiB, two passes.
    pub const STANDARD: Self = Self { memory_kib: 19_456, passes: 2 };
    /// For tests only: no protection at all.
    pub const FOR_TESTS: Self = Self { memory_kib: 8, passes: 1 };
}

/// What is to be computed, and who waits for it. Two threads may send without a lock; the first result counts.
enum Job {
    Hash(SecretString, UnboundedSender<Option<StoredPassword>>),
    Verify(SecretString, Option<StoredPassword>, UnboundedSender<Verdict>),
}

/// A job on its way through the pool.
struct Task {
    job: Job,
    is_done: AtomicBool,
    /// When a thread first began it.
    begun: OnceLock<Instant>,
    /// How many tasks wait to be begun.
    waiting: Arc<AtomicUsize>,
}

impl Task {
    fn new(job: Job, waiting: &Arc<AtomicUsize>) -> Self {
        Self { job, is_done: AtomicBool::new(false), begun: OnceLock::new(), waiting: Arc::clone(waiting) }
    }

    /// Whether nobody waits for it any more; where the caller has gone, nothing was promised.
    fn is_over(&self) -> bool {
        let is_closed = match &self.job {
            Job::Hash(_, answer) => answer.is_closed(),
            Job::Verify(.., answer) => answer.is_closed(),
        };
        is_closed || self.is_done.load(Ordering::Relaxed)
    }

    /// Marks it as begun; whether it was not before.
    fn begin(&self) -> bool {
        let is_first = self.begun.set(Instant::now()).is_ok();
        if is_first {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        is_first
    }

    fn carry_out(&self, argon2: &Argon2<'_>, memory: &mut Vec<Block>) {
        memory.resize(argon2.params().block_count(), Block::default());
        match &self.job {
            Job::Hash(password, answer) => {
                let hashed = hash(argon2, memory, password.expose_secret());
                if hashed.is_none() {
                    tracing::error!("a password could not be hashed");
                }
                drop(answer.send(hashed));
            }
            Job::Verify(password, stored, answer) => {
                let verdict = verify(argon2, memory, password.expose_secret(), stored.as_ref());
                let _ = answer.send(verdict);
            }
        }
        self.is_done.store(true, Ordering::Relaxed);
    }
}

/// How long an idle thread may have a task before it is computed again. A password takes tens of milliseconds, and minutes
/// on an idle thread of a machine whose processors are busy.
const PATIENCE: Duration = Duration::from_millis(250);

/// Extra length of the steady thread's queue, for tasks that idle threads have finished and it has not received yet.
const STEADY_BEHIND: usize = 64;

/// The pool.
pub struct PasswordPool {
    /// Every task goes to the steady thread, which sees that it is done, and to the idle ones. They share no lock: a thread
    /// that is rarely scheduled must hold nothing that others need.
    to_steady: mpsc::SyncSender<Arc<Task>>,
    to_idle: mpsc::Sender<Arc<Task>>,
    /// How many tasks the idle threads have yet to take, done or not.
    idle_backlog: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
}

impl PasswordPool {
    /// Threads by default: one for each processor.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
    }

    /// A pool with the default number of threads, a short queue and the standard strength.
    pub fn standard() -> anyhow::Result<Self> {
        Self::start(Self::default_threads(), Self::DEFAULT_QUEUE, Strength::STANDARD)
    }

    /// Passwords that may wait by default.
    pub const DEFAULT_QUEUE: usize = 64;

    /// A pool of so many threads with room for so many waiting.
    pub fn start(threads: usize, waiting: usize, strength: Strength) -> anyhow::Result<Self> {
        let params = Params::new(strength.memory_kib, strength.passes, 1, None)
            .map_err(|error| anyhow::anyhow!("password strength: {error}"))?;
        let (to_idle, tasks) = mpsc::channel();
        let (tasks, idle_backlog) = (Arc::new(Mutex::new(tasks)), Arc::<AtomicUsize>::default());
        for number in 1..=threads.max(1) {
            let (tasks, backlog, params) = (Arc::clone(&tasks), Arc::clone(&idle_backlog), params.clone());
            let name = format!("muster-hash-{number}");
            std::thread::Builder::new().name(name).spawn(move || work_when_idle(&tasks, &backlog, params))?;
        }
        let (to_steady, tasks) = mpsc::sync_channel(waiting + STEADY_BEHIND);
        let name = "muster-hash-0".to_owned();
        std::thread::Builder::new().name(name).spawn(move || work_steadily(&tasks, params))?;
        Ok(Self { to_steady, to_idle, idle_backlog, waiting: Arc::default(), most_waiting: waiting })
    }

    /// Queues a job; its answer is dropped when it could not be done.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(UnboundedSender<T>) -> Job,
    ) -> Pending<'static, Result<T, Overloaded>> {
        let (answer, mut answered) = unbounded_channel();
        let sent = self.queue(job(answer));
        Box::pin(async move {
            sent?;
            answered.recv().await.ok_or(Overloaded)
        })
    }

    fn queue(&self, job: Job) -> Result<(), Overloaded> {
        let more = |many: usize| (many < self.most_waiting).then_some(many + 1);
        let has_room =
            |many: &AtomicUsize| many.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !has_room(&self.waiting) {
            return Err(Overloaded);
        }
        let task = Arc::new(Task::new(job, &self.waiting));
        if self.to_steady.try_send(Arc::clone(&task)).is_err() {
            task.begin();
            return Err(Overloaded);
        }
        // Idle threads that are not scheduled pile up no passwords.
        if has_room(&self.idle_backlog) {
            self.to_idle.send(task).map_err(|_| Overloaded)?;
        }
        Ok(())
    }
}

impl Hasher for PasswordPool {
    fn hash(&self, password: SecretString) -> Pending<'_, Result<StoredPassword, Overloaded>> {
        let hashed = self.ask(|answer| Job::Hash(password, answer));
        Box::pin(async move { hashed.await?.ok_or(Overloaded) })
    }

    fn verify(
        &self,
        password: SecretString,
        stored: Option<StoredPassword>,
    ) -> Pending<'_, Result<Verdict, Overloaded>> {
        self.ask(|answer| Job::Verify(password, stored, answer))
    }

    fn can_verify(&self, stored: &StoredPassword) -> bool {
        Stored::read(stored.0.expose_secret()).is_some()
    }
}

/// Lets this thread run when nobody else would, where the system can do that. A low priority alone is not enough: who has it
/// is not interrupted at once for who wakes up, and a create wakes several.
#[cfg(target_os = "linux")]
fn give_way() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Where it is not allowed, all are alike.
    drop(set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle));
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

fn work_when_idle(tasks: &Mutex<mpsc::Receiver<Arc<Task>>>, backlog: &AtomicUsize, params: Params) {
    give_way();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Taken with the first password and kept from then on: fresh pages would cost two fifths of the time.
    let mut memory = Vec::new();
    loop {
        let task = tasks.lock().recv();
        let Ok(task) = task else { return };
        backlog.fetch_sub(1, Ordering::Relaxed);
        if task.begin() && !task.is_over() {
            task.carry_out(&argon2, &mut memory);
        }
    }
}

/// Computes what no thread has begun, and what an idle thread does not finish. Rests three times as long as it worked.
fn work_steadily(tasks: &mpsc::Receiver<Arc<Task>>, params: Params) {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = Vec::new();
    // In the order in which they came.
    let mut unfinished: Vec<Arc<Task>> = Vec::new();
    let mut rest_ends = Instant::now();
    loop {
        unfinished.extend(tasks.try_iter());
        for task in unfinished.extract_if(.., |task| task.is_over()) {
            task.begin();
        }
        let now = Instant::now();
        let is_left = |task: &Arc<Task>| task.begun.get().is_none_or(|begun| begun.elapsed() >= PATIENCE);
        if rest_ends <= now
            && let Some(place) = unfinished.iter().position(is_left)
        {
            let task = unfinished.remove(place);
            task.begin();
            task.carry_out(&argon2, &mut memory);
            rest_ends = Instant::now() + now.elapsed() * 3;
            continue;
        }
        let next = if unfinished.is_empty() {
            tasks.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            let rest = rest_ends.saturating_duration_since(now);
            tasks.recv_timeout(if rest.is_zero() { PATIENCE } else { rest.min(PATIENCE) })
        };
        match next {
            Ok(task) => unfinished.push(task),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn verify(
    argon2: &Argon2<'_>,
    memory: &mut [Block],
    password: &str,
    stored: Option<&StoredPassword>,
) -> Verdict {
    let stored = stored.and_then(|stored| Stored::read(stored.0.expose_secret()));
    let Some(stored) = stored else {
        // As long as if there were one.
        drop(hash(argon2, memory, password));
        return Verdict::Wrong;
    };
    if !stored.fits(password.as_bytes(), memory) {
        return Verdict::Wrong;
    }
    let ours = argon2.params();
    match stored.way() {
        Way::Argon2id { memory_kib, passes } if memory_kib >= ours.m_cost() && passes >= ours.t_cost() => {
            Verdict::Right
        }
        Way::Argon2id { .. } | Way::Another => Verdict::RightButWeak,
    }
}

fn hash(argon2: &Argon2<'_>, memory: &mut [Block], password: &str) -> Option<StoredPassword> {
    let salt = Salt::generate();
    let mut output = [0_u8; Params::DEFAULT_OUTPUT_LEN];
    let bytes = password.as_bytes();
    argon2.hash_password_into_with_memory(bytes, salt.as_ref(), &mut output, &mut *memory).ok()?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).ok()?,
        salt: Some(salt),
        hash: Some(Output::new(&output).ok()?),
    };
    Some(StoredPassword(SecretString::from(phc.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordVerifier;

    /// Where nothing is stored, as much memory is filled as for a wrong password; how much time that takes is measured by
    /// the benchmark of sign-ins.
    #[test]
    fn as_much_is_computed_where_nothing_is_stored() {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 2, 1, None).unwrap());
        let blocks = argon2.params().block_count();
        let stored = hash(&argon2, &mut vec![Block::default(); blocks], "secret-1").unwrap();
        for stored in [None, Some(stored)] {
            let mut memory = vec![Block::default(); blocks];
            assert_eq!(verify(&argon2, &mut memory, "secret-2", stored.as_ref()), Verdict::Wrong);
            let is_filled = |block: &Block| block.as_ref().iter().any(|word| *word != 0);
            assert!(memory.iter().all(is_filled), "{}", stored.is_some());
        }
    }

    /// A thread that has begun a task and is never run again keeps nobody waiting.
    #[test]
    fn what_an_idle_thread_does_not_finish_is_done_again() {
        let pool = PasswordPool::start(1, 1, Strength::FOR_TESTS).unwrap();
        let (answer, mut answered) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(1));
        let task = Arc::new(Task::new(Job::Hash("secret-1".into(), answer), &waiting));
        assert!(task.begin() && !task.begin());
        pool.to_steady.send(Arc::clone(&task)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(answered.recv()).unwrap().is_some());
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }

    /// Clients that hang up at once leave nothing behind, however many they are.
    #[test]
    fn passwords_that_nobody_waits_for_any_more_do_not_pile_up() {
        let pool = PasswordPool::start(1, 4, Strength::FOR_TESTS).unwrap();
        for _ in 0..10_000 {
            drop(pool.hash("secret-1".into()));
            assert!(pool.idle_backlog.load(Ordering::Relaxed) <= 4);
            assert!(pool.waiting.load(Ordering::Relaxed) <= 4);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        while runtime.block_on(pool.hash("secret-1".into())).is_err() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_hash_verifies_and_overload_is_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pool = PasswordPool::start(1, 1, Strength::FOR_TESTS).unwrap();
        let stored = runtime.block_on(pool.hash("secret-1".into())).unwrap();
        let phc = stored.0.expose_secret();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(Argon2::default().verify_password(b"secret-1", phc).is_ok());
        assert!(Argon2::default().verify_password(b"secret-2", phc).is_err());
        let same = runtime.block_on(pool.verify("secret-1".into(), Some(stored.clone()))).unwrap();
        assert_eq!(same, Verdict::Right);
        let other = runtime.block_on(pool.verify("secret-2".into(), Some(stored.clone()))).unwrap();
        assert_eq!(other, Verdict::Wrong);
        assert_eq!(runtime.block_on(pool.verify("secret-1".into(), None)).unwrap(), Verdict::Wrong);
        let better = Strength { memory_kib: 16, passes: 2 };
        let better = PasswordPool::start(1, 1, better).unwrap();
        let weak = runtime.block_on(better.verify("secret-1".into(), Some(stored.clone()))).unwrap();
        assert_eq!(weak, Verdict::RightButWeak);
        let slow = PasswordPool::start(1, 1, Strength::STANDARD).unwrap();
        let many: Vec<_> = (0..50).map(|_| slow.hash("secret-1".into())).collect();
        let done = runtime.block_on(futures_util::future::join_all(many));
        assert!(done.iter().any(Result::is_ok) && done.iter().any(Result::is_err));
    }
}
