//! A thread pool for hashing passwords. Each thread keeps its memory; sign-ins and new passwords have bounded queues that are
//! fair between tenants.
//!
//! A password costs as much as hundreds of creates, so hashing never runs where requests or writes do, never takes
//! more memory than threads × 19 MiB (more for a moment where another system has stored a password so), and refuses
//! rather than queues without end. The threads run when nobody else would, so that whoever asks for many sign-ins does not
//! slow down what needs no password. One more thread of normal priority works for up to three quarters of the time, and computes
//! again what an idle one has begun and does not finish, so that sign-ins go on where the processors are never idle.

use crate::fair_queue::FairQueue;
use crate::hashing::{Strength, hash, verify};
use crate::stored::Stored;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{
    BoxFuture, ExposeSecret, Overloaded, PasswordHash, PasswordHasher, PasswordVerification, SecretString,
    TenantNumber,
};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What is to be computed, and who waits for it. Two threads may send without a lock; the first result counts.
enum Job {
    Hash(SecretString, UnboundedSender<Option<PasswordHash>>),
    Verify(SecretString, Option<PasswordHash>, UnboundedSender<PasswordVerification>),
}

/// A job on its way through the pool.
struct Task {
    job: Job,
    is_begun: AtomicBool,
    is_done: AtomicBool,
}

impl Task {
    fn new(job: Job) -> Arc<Self> {
        Arc::new(Self { job, is_begun: AtomicBool::new(false), is_done: AtomicBool::new(false) })
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
        !self.is_begun.swap(true, Ordering::Relaxed)
    }

    fn is_sign_in(&self) -> bool {
        matches!(self.job, Job::Verify(..))
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

/// Time for an idle thread to finish a task before the steady thread computes it again, until it is known how fast this machine
/// is. A password takes tens of milliseconds, but minutes on an idle thread while other processes keep the CPUs busy.
const TIME_TO_FINISH: Duration = Duration::from_millis(150);
/// Time for an idle thread to begin a task.
const TIME_TO_BEGIN: Duration = Duration::from_millis(5);
/// Sign-ins served for each new password, while both wait.
const SIGN_INS_FIRST: u32 = 3;

/// Waiting tasks. Sign-ins have a queue of their own, so that creating users cannot fill it.
struct Waiting {
    sign_ins: FairQueue<TenantNumber, Arc<Task>>,
    new_passwords: FairQueue<TenantNumber, Arc<Task>>,
    /// Sign-ins served since the last new password, while one was waiting.
    sign_ins_before: u32,
}

impl Waiting {
    /// The next task of those kinds that may be taken: sign-ins, new passwords.
    fn next(&mut self, may: (bool, bool)) -> Option<Arc<Task>> {
        loop {
            let has_sign_in = may.0 && self.sign_ins.len() > 0;
            let has_new_password = may.1 && self.new_passwords.len() > 0;
            let task = if has_sign_in && (self.sign_ins_before < SIGN_INS_FIRST || !has_new_password) {
                self.sign_ins_before = if has_new_password { self.sign_ins_before + 1 } else { 0 };
                self.sign_ins.pop()?
            } else if has_new_password {
                self.sign_ins_before = 0;
                self.new_passwords.pop()?
            } else {
                return None;
            };
            if !task.is_over() {
                return Some(task);
            }
        }
    }
}

/// State shared by the pool and its threads. Idle threads take no lock of it: a thread that is rarely scheduled must not hold
/// a lock that others need.
struct Shared {
    waiting: Mutex<Waiting>,
    /// Dispatches tasks, and computes some itself.
    steady: OnceLock<Thread>,
    is_closed: AtomicBool,
}

impl Shared {
    fn wake_steady(&self) {
        if let Some(thread) = self.steady.get() {
            thread.unpark();
        }
    }
}

/// The pool.
pub struct PasswordPool(Arc<Shared>);

impl PasswordPool {
    /// Threads by default: one for each processor.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
    }

    /// A pool with the default number of threads, a short queue and the standard strength.
    pub fn standard() -> anyhow::Result<Self> {
        Self::start(Self::default_threads(), Self::DEFAULT_QUEUE, Strength::STANDARD)
    }

    /// Default length of each queue: sign-ins, and new passwords.
    pub const DEFAULT_QUEUE: usize = 64;

    /// A pool with this many threads and a queue of `waiting` tasks of each kind.
    pub fn start(threads: usize, waiting: usize, strength: Strength) -> anyhow::Result<Self> {
        let params = Params::new(strength.memory_kib, strength.passes, 1, None)
            .map_err(|error| anyhow::anyhow!("password strength: {error}"))?;
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                sign_ins: FairQueue::new(waiting.max(1)),
                new_passwords: FairQueue::new(waiting.max(1)),
                sign_ins_before: 0,
            }),
            steady: OnceLock::new(),
            is_closed: AtomicBool::new(false),
        });
        // If an error follows, dropping the pool ends the threads that have started.
        let pool = Self(Arc::clone(&shared));
        let mut idle = Vec::new();
        for number in 1..=threads.max(1) {
            let slot = Arc::new(Mutex::new(None));
            let (name, params) = (format!("muster-hash-{number}"), params.clone());
            let (shared, given) = (Arc::clone(&shared), Arc::clone(&slot));
            let started = std::thread::Builder::new().name(name);
            let started = started.spawn(move || work_when_idle(&shared, &given, params))?;
            idle.push(IdleThread { slot, last: None, thread: started.thread().clone() });
        }
        let steady = std::thread::Builder::new().name("muster-hash-0".to_owned());
        steady.spawn(move || work_steadily(&shared, idle, params))?;
        Ok(pool)
    }

    /// Queues a job; its answer is dropped when it could not be done.
    fn ask<T: Send + 'static>(
        &self,
        tenant: TenantNumber,
        job: impl FnOnce(UnboundedSender<T>) -> Job,
    ) -> BoxFuture<'static, Result<T, Overloaded>> {
        let (answer, mut answered) = unbounded_channel();
        self.queue(tenant, Task::new(job(answer)));
        Box::pin(async move { answered.recv().await.ok_or(Overloaded) })
    }

    fn queue(&self, tenant: TenantNumber, task: Arc<Task>) {
        let mut waiting = self.0.waiting.lock();
        let queue = if task.is_sign_in() { &mut waiting.sign_ins } else { &mut waiting.new_passwords };
        if queue.is_full() {
            queue.retain(|task| !task.is_over());
        }
        // The caller of a dropped task gets `Overloaded`.
        drop(queue.push(tenant, task));
        drop(waiting);
        self.0.wake_steady();
    }
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.wake_steady();
    }
}

impl PasswordHasher for PasswordPool {
    fn hash(
        &self,
        tenant: TenantNumber,
        password: SecretString,
    ) -> BoxFuture<'_, Result<PasswordHash, Overloaded>> {
        let hashed = self.ask(tenant, |answer| Job::Hash(password, answer));
        Box::pin(async move { hashed.await?.ok_or(Overloaded) })
    }

    fn verify(
        &self,
        tenant: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>> {
        self.ask(tenant, |answer| Job::Verify(password, stored, answer))
    }

    fn can_verify(&self, stored: &PasswordHash) -> bool {
        Stored::read(stored.0.expose_secret()).is_some()
    }
}

/// An idle-priority thread, as seen by the steady one.
struct IdleThread {
    /// Its next task. The steady thread never waits for this lock.
    slot: Arc<Slot>,
    last: Option<Arc<Task>>,
    thread: Thread,
}

type Slot = Mutex<Option<Arc<Task>>>;

impl IdleThread {
    /// Hands over the next task unless the last one is unfinished; returns the task.
    fn offer(&mut self, waiting: &Mutex<Waiting>) -> Option<Arc<Task>> {
        if self.last.as_ref().is_some_and(|task| !task.is_over()) {
            return None;
        }
        let mut slot = self.slot.try_lock()?;
        self.last = waiting.lock().next((true, true));
        if self.last.is_some() {
            slot.clone_from(&self.last);
            drop(slot);
            self.thread.unpark();
        }
        self.last.clone()
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

fn work_when_idle(shared: &Shared, slot: &Slot, params: Params) {
    give_way();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Taken with the first password and kept from then on: fresh pages would cost two fifths of the time.
    let mut memory = Vec::new();
    while !shared.is_closed.load(Ordering::Acquire) {
        let task = slot.lock().take();
        let Some(task) = task else {
            std::thread::park();
            continue;
        };
        if task.begin() && !task.is_over() {
            task.carry_out(&argon2, &mut memory);
        }
        shared.wake_steady();
    }
}

/// Dispatches tasks to the idle threads and computes those that they do not get to. Sign-ins take at most half of its time and
/// new passwords a quarter.
fn work_steadily(shared: &Shared, mut idle: Vec<IdleThread>, params: Params) {
    // Set once, here.
    let _ = shared.steady.set(std::thread::current());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = Vec::new();
    // In the order in which they were handed over.
    let mut handed: Vec<(Instant, Arc<Task>)> = Vec::new();
    let mut pace =
        Pace { sign_ins: Instant::now(), new_passwords: Instant::now(), fastest: TIME_TO_FINISH / 2 };
    while !shared.is_closed.load(Ordering::Acquire) {
        let now = Instant::now();
        handed.retain(|(_, task)| !task.is_over());
        handed.extend(idle.iter_mut().filter_map(|thread| Some((now, thread.offer(&shared.waiting)?))));
        // Sign-ins first: a user waits for each.
        let is_due = |(since, task): &(Instant, Arc<Task>)| pace.is_due_at(*since, task) <= now;
        let due_sign_in = handed.iter().position(|entry| entry.1.is_sign_in() && is_due(entry));
        let due = due_sign_in.or_else(|| handed.iter().position(is_due)).map(|place| handed.remove(place).1);
        let may = (pace.sign_ins <= now, pace.new_passwords <= now);
        if let Some(task) = due.or_else(|| shared.waiting.lock().next(may)) {
            task.begin();
            task.carry_out(&argon2, &mut memory);
            pace.note(task.is_sign_in(), now.elapsed());
            continue;
        }
        let due = handed.iter().map(|(since, task)| pace.is_due_at(*since, task)).min();
        let waiting = shared.waiting.lock();
        let sign_in = (waiting.sign_ins.len() > 0).then_some(pace.sign_ins);
        let new_password = (waiting.new_passwords.len() > 0).then_some(pace.new_passwords);
        drop(waiting);
        // Queuing or finishing a task wakes this thread earlier.
        match [due, sign_in, new_password].into_iter().flatten().min() {
            Some(next) => std::thread::park_timeout(next.saturating_duration_since(now)),
            None => std::thread::park(),
        }
    }
    for thread in idle {
        thread.thread.unpark();
    }
}

/// When the steady thread computes which tasks.
struct Pace {
    /// The next sign-in; it rests as long as it worked for the last.
    sign_ins: Instant,
    /// The next new password; it rests three times as long.
    new_passwords: Instant,
    /// The shortest time that a task has taken. An idle thread that takes twice as long does not get the processor.
    fastest: Duration,
}

impl Pace {
    /// When the steady thread takes a task over from an idle thread that got it at `handed_over`.
    fn is_due_at(&self, handed_over: Instant, task: &Task) -> Instant {
        let time = if task.is_begun.load(Ordering::Relaxed) { self.fastest * 2 } else { TIME_TO_BEGIN };
        let rest_ends = if task.is_sign_in() { self.sign_ins } else { self.new_passwords };
        (handed_over + time).max(rest_ends)
    }

    fn note(&mut self, is_sign_in: bool, worked: Duration) {
        let now = Instant::now();
        self.fastest = self.fastest.min(worked);
        if is_sign_in {
            self.sign_ins = now + worked;
        } else {
            self.new_passwords = now + worked * 3;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordVerifier;

    const ONE: TenantNumber = TenantNumber(1);
    const TWO: TenantNumber = TenantNumber(2);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    /// A thread that has taken a task and is never run again keeps nobody waiting.
    #[test]
    fn what_an_idle_thread_does_not_finish_is_done_again() {
        for has_begun in [false, true] {
            let params = Params::new(8, 1, 1, None).unwrap();
            let pool = PasswordPool(Arc::new(Shared {
                waiting: Mutex::new(Waiting {
                    sign_ins: FairQueue::new(1),
                    new_passwords: FairQueue::new(1),
                    sign_ins_before: 0,
                }),
                steady: OnceLock::new(),
                is_closed: AtomicBool::new(false),
            }));
            // Its thread never looks at the slot.
            let slot = Arc::new(Mutex::new(None));
            let stuck = IdleThread { slot, last: None, thread: std::thread::current() };
            let (answer, mut answered) = unbounded_channel();
            let task = Task::new(Job::Hash("secret-1".into(), answer));
            assert!(!has_begun || task.begin());
            pool.queue(ONE, task);
            let shared = Arc::clone(&pool.0);
            let steady = std::thread::spawn(move || work_steadily(&shared, vec![stuck], params));
            let runtime = runtime();
            assert!(runtime.block_on(answered.recv()).unwrap().is_some());
            assert!(runtime.block_on(pool.hash(ONE, "secret-2".into())).is_ok(), "nor is the next one lost");
            drop(pool);
            steady.join().unwrap();
        }
    }

    /// Clients that hang up at once leave nothing behind, however many they are.
    #[test]
    fn passwords_that_nobody_waits_for_any_more_do_not_pile_up() {
        let pool = PasswordPool::start(1, 4, Strength::FOR_TESTS).unwrap();
        for _ in 0..10_000 {
            drop(pool.hash(ONE, "secret-1".into()));
            drop(pool.verify(ONE, "secret-1".into(), None));
            let waiting = pool.0.waiting.lock();
            assert!(waiting.sign_ins.len() <= 4 && waiting.new_passwords.len() <= 4);
        }
        assert!(runtime().block_on(pool.hash(ONE, "secret-1".into())).is_ok());
    }

    /// What one tenant queues costs another one neither its places nor much time.
    #[test]
    fn tenants_take_turns_and_sign_ins_go_first() {
        let pool = PasswordPool::start(1, 64, Strength::STANDARD).unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let noted = |what: &'static str, pending: BoxFuture<'static, bool>| {
            let order = Arc::clone(&order);
            async move {
                let is_done = pending.await;
                order.lock().push((what, is_done));
            }
        };
        let hash = |tenant| {
            let hashed = pool.ask(tenant, |answer| Job::Hash("secret-1".into(), answer));
            Box::pin(async move { hashed.await.is_ok() }) as BoxFuture<'static, bool>
        };
        let verify = |tenant| {
            let verified = pool.ask(tenant, |answer| Job::Verify("secret-1".into(), None, answer));
            Box::pin(async move { verified.await.is_ok() }) as BoxFuture<'static, bool>
        };
        let mut all: Vec<_> = (0..70).map(|_| noted("hash of one", hash(ONE))).collect();
        all.extend((0..70).map(|_| noted("sign-in of one", verify(ONE))));
        all.push(noted("sign-in of two", verify(TWO)));
        all.push(noted("hash of two", hash(TWO)));
        runtime().block_on(futures_util::future::join_all(all));
        let order: Vec<_> =
            order.lock().iter().filter(|(_, is_done)| *is_done).map(|(what, _)| *what).collect();
        let place = |what: &str| order.iter().position(|done| *done == what);
        // One of tenant 1 may be under way in each thread.
        assert!(place("sign-in of two").is_some_and(|place| place <= 5), "{order:?}");
        assert!(place("hash of two").is_some_and(|place| place <= 12), "{order:?}");
        assert!(place("hash of one").is_some_and(|place| place <= 12), "sign-ins are not all: {order:?}");
    }

    #[test]
    fn a_hash_verifies_and_overload_is_refused() {
        let runtime = runtime();
        let pool = PasswordPool::start(1, 1, Strength::FOR_TESTS).unwrap();
        let stored = runtime.block_on(pool.hash(ONE, "secret-1".into())).unwrap();
        let phc = stored.0.expose_secret();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(Argon2::default().verify_password(b"secret-1", phc).is_ok());
        assert!(Argon2::default().verify_password(b"secret-2", phc).is_err());
        let same = runtime.block_on(pool.verify(ONE, "secret-1".into(), Some(stored.clone()))).unwrap();
        assert_eq!(same, PasswordVerification::Success);
        let other = runtime.block_on(pool.verify(ONE, "secret-2".into(), Some(stored.clone()))).unwrap();
        assert_eq!(other, PasswordVerification::Failed);
        assert_eq!(
            runtime.block_on(pool.verify(ONE, "secret-1".into(), None)).unwrap(),
            PasswordVerification::Failed
        );
        let better = Strength { memory_kib: 16, passes: 2 };
        let better = PasswordPool::start(1, 1, better).unwrap();
        let weak = runtime.block_on(better.verify(ONE, "secret-1".into(), Some(stored.clone()))).unwrap();
        assert_eq!(weak, PasswordVerification::SuccessRehashNeeded);
        let slow = PasswordPool::start(1, 1, Strength::STANDARD).unwrap();
        let many: Vec<_> = (0..50).map(|_| slow.hash(ONE, "secret-1".into())).collect();
        let done = runtime.block_on(futures_util::future::join_all(many));
        assert!(done.iter().any(Result::is_ok) && done.iter().any(Result::is_err));
    }
}
