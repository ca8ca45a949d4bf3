//! A thread pool that hashes passwords. Each thread keeps its memory; sign-ins and new passwords have bounded
//! queues that are fair between tenants.
//!
//! One password costs as much CPU time as hundreds of creates. Hashing therefore has its own threads, takes at most
//! threads × 19 MiB of memory (more only while a more expensive imported hash is verified), and rejects tasks when
//! a queue is full. The workers have idle priority, so that many sign-ins do not slow down other requests. One more
//! thread of normal priority, the dispatcher, works up to three quarters of the time. It takes over tasks that a
//! worker does not start or finish in time, so that sign-ins proceed even if the CPUs are never idle.

use crate::fair_queue::FairQueue;
use crate::foreign_hashes::ParsedHash;
use crate::hashing::{Argon2Cost, hash, verify};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{
    BoxFuture, ExposeSecret, Overloaded, PasswordHash, PasswordHasher, PasswordVerification, SecretString, TenantNumber,
};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Two threads may compute the same job and send without a lock; the receiver uses the first result.
enum Job {
    Hash(SecretString, UnboundedSender<Option<PasswordHash>>),
    Verify(SecretString, Option<PasswordHash>, UnboundedSender<PasswordVerification>),
}

struct Task {
    job: Job,
    is_started: AtomicBool,
    is_done: AtomicBool,
}

impl Task {
    fn new(job: Job) -> Arc<Self> {
        Arc::new(Self { job, is_started: AtomicBool::new(false), is_done: AtomicBool::new(false) })
    }

    /// Whether the result is not needed: the caller is gone, or another thread has computed it.
    fn is_obsolete(&self) -> bool {
        let is_closed = match &self.job {
            Job::Hash(_, sender) => sender.is_closed(),
            Job::Verify(.., answer) => answer.is_closed(),
        };
        is_closed || self.is_done.load(Ordering::Relaxed)
    }

    /// Marks the task as started. Returns false if it was started before.
    fn try_start(&self) -> bool {
        !self.is_started.swap(true, Ordering::Relaxed)
    }

    fn is_sign_in(&self) -> bool {
        matches!(self.job, Job::Verify(..))
    }

    fn run(&self, argon2: &Argon2<'_>, memory: &mut Vec<Block>) {
        memory.resize(argon2.params().block_count(), Block::default());
        match &self.job {
            Job::Hash(password, sender) => {
                let hashed = hash(argon2, memory, password.expose_secret());
                if hashed.is_none() {
                    tracing::error!("a password could not be hashed");
                }
                drop(sender.send(hashed));
            }
            Job::Verify(password, stored, sender) => {
                let verdict = verify(argon2, memory, password.expose_secret(), stored.as_ref());
                let _ = sender.send(verdict);
            }
        }
        self.is_done.store(true, Ordering::Relaxed);
    }
}

/// Time for a worker to finish a task before the dispatcher recomputes it; used until the speed of this machine is
/// known. A password takes tens of milliseconds, but minutes at idle priority while other processes keep the CPUs busy.
const INITIAL_FINISH_TIMEOUT: Duration = Duration::from_millis(150);
/// Time for a worker to start a task.
const START_TIMEOUT: Duration = Duration::from_millis(5);
/// Sign-ins served for each new password while both wait.
const SIGN_INS_PER_NEW_PASSWORD: u32 = 3;

/// Sign-ins (and all other verifications) have their own queue, so that creating users cannot fill it.
struct TaskQueues {
    sign_ins: FairQueue<TenantNumber, Arc<Task>>,
    new_passwords: FairQueue<TenantNumber, Arc<Task>>,
    /// Sign-ins served since the last new password, while one was waiting.
    sign_ins_since_new_password: u32,
}

impl TaskQueues {
    fn pop_any(&mut self) -> Option<Arc<Task>> {
        self.pop(true, true)
    }

    fn pop(&mut self, allows_sign_ins: bool, allows_new_passwords: bool) -> Option<Arc<Task>> {
        loop {
            let has_sign_in = allows_sign_ins && self.sign_ins.len() > 0;
            let has_new_password = allows_new_passwords && self.new_passwords.len() > 0;
            let task =
                if has_sign_in && (self.sign_ins_since_new_password < SIGN_INS_PER_NEW_PASSWORD || !has_new_password) {
                    self.sign_ins_since_new_password =
                        if has_new_password { self.sign_ins_since_new_password + 1 } else { 0 };
                    self.sign_ins.pop()?
                } else if has_new_password {
                    self.sign_ins_since_new_password = 0;
                    self.new_passwords.pop()?
                } else {
                    return None;
                };
            if !task.is_obsolete() {
                return Some(task);
            }
        }
    }
}

/// State shared by all threads. Workers take none of its locks: a thread that is rarely scheduled must not hold a
/// lock that others need.
struct Shared {
    queues: Mutex<TaskQueues>,
    /// Assigns tasks to workers, and computes some itself.
    dispatcher: OnceLock<Thread>,
    is_closed: AtomicBool,
}

impl Shared {
    fn wake_dispatcher(&self) {
        if let Some(thread) = self.dispatcher.get() {
            thread.unpark();
        }
    }
}

pub struct PasswordPool(Arc<Shared>);

impl PasswordPool {
    /// One thread for each CPU.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
    }

    pub fn with_defaults() -> anyhow::Result<Self> {
        Self::start(Self::default_threads(), Self::DEFAULT_QUEUE_LIMIT, Argon2Cost::STANDARD)
    }

    /// Default limit of each of the two queues, in tasks.
    pub const DEFAULT_QUEUE_LIMIT: usize = 64;

    /// Starts this many workers, with `waiting` tasks at most in each of the two queues.
    pub fn start(threads: usize, waiting: usize, hash_cost: Argon2Cost) -> anyhow::Result<Self> {
        let params = Params::new(hash_cost.memory_kib, hash_cost.passes, 1, None)
            .map_err(|error| anyhow::anyhow!("invalid password hashing cost: {error}"))?;
        let shared = Arc::new(Shared {
            queues: Mutex::new(TaskQueues {
                sign_ins: FairQueue::new(waiting.max(1)),
                new_passwords: FairQueue::new(waiting.max(1)),
                sign_ins_since_new_password: 0,
            }),
            dispatcher: OnceLock::new(),
            is_closed: AtomicBool::new(false),
        });
        // If an error follows, dropping the pool ends the threads that have started.
        let pool = Self(Arc::clone(&shared));
        let mut workers = Vec::new();
        for number in 1..=threads.max(1) {
            let slot = Arc::new(Mutex::new(None));
            let (name, params) = (format!("muster-hash-{number}"), params.clone());
            let (shared, worker_slot) = (Arc::clone(&shared), Arc::clone(&slot));
            let started = std::thread::Builder::new().name(name);
            let started = started.spawn(move || run_idle_worker(&shared, &worker_slot, params))?;
            workers.push(IdleWorker { slot, last_task: None, thread: started.thread().clone() });
        }
        let dispatcher = std::thread::Builder::new().name("muster-hash-0".to_owned());
        dispatcher.spawn(move || run_dispatcher(&shared, workers, params))?;
        Ok(pool)
    }

    /// Queues a job. The future fails with `Overloaded` if the job is dropped.
    fn submit<T: Send + 'static>(
        &self,
        tenant: TenantNumber,
        job: impl FnOnce(UnboundedSender<T>) -> Job,
    ) -> BoxFuture<'static, Result<T, Overloaded>> {
        let (sender, mut receiver) = unbounded_channel();
        self.enqueue(tenant, Task::new(job(sender)));
        Box::pin(async move { receiver.recv().await.ok_or(Overloaded) })
    }

    fn enqueue(&self, tenant: TenantNumber, task: Arc<Task>) {
        let mut queues = self.0.queues.lock();
        let queue = if task.is_sign_in() { &mut queues.sign_ins } else { &mut queues.new_passwords };
        if queue.is_full() {
            queue.retain(|task| !task.is_obsolete());
        }
        // The caller of a dropped task gets `Overloaded`.
        drop(queue.push(tenant, task));
        drop(queues);
        self.0.wake_dispatcher();
    }
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.wake_dispatcher();
    }
}

impl PasswordHasher for PasswordPool {
    fn hash(&self, tenant: TenantNumber, password: SecretString) -> BoxFuture<'_, Result<PasswordHash, Overloaded>> {
        let hashed = self.submit(tenant, |sender| Job::Hash(password, sender));
        Box::pin(async move { hashed.await?.ok_or(Overloaded) })
    }

    fn verify(
        &self,
        tenant: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>> {
        self.submit(tenant, |sender| Job::Verify(password, stored, sender))
    }

    fn can_verify(&self, stored: &PasswordHash) -> bool {
        ParsedHash::parse(stored.0.expose_secret()).is_some()
    }
}

/// An idle-priority thread, as seen by the dispatcher.
struct IdleWorker {
    /// Its next task. The dispatcher never waits for this lock.
    slot: Arc<Slot>,
    last_task: Option<Arc<Task>>,
    thread: Thread,
}

type Slot = Mutex<Option<Arc<Task>>>;

impl IdleWorker {
    /// Assigns and returns the next task, unless the last one is unfinished.
    fn assign_next(&mut self, queues: &Mutex<TaskQueues>) -> Option<Arc<Task>> {
        if self.last_task.as_ref().is_some_and(|task| !task.is_obsolete()) {
            return None;
        }
        let mut slot = self.slot.try_lock()?;
        self.last_task = queues.lock().pop_any();
        if self.last_task.is_some() {
            slot.clone_from(&self.last_task);
            drop(slot);
            self.thread.unpark();
        }
        self.last_task.clone()
    }
}

/// Schedules this thread only while a CPU is idle, if the system supports it. A low priority is not enough: a
/// running thread of low priority is not preempted at once, and a create wakes several threads.
#[cfg(target_os = "linux")]
fn set_idle_priority() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Not permitted everywhere; then all threads have the same priority.
    drop(set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle));
}

#[cfg(not(target_os = "linux"))]
fn set_idle_priority() {}

fn run_idle_worker(shared: &Shared, slot: &Slot, params: Params) {
    set_idle_priority();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Allocated with the first password and kept: fresh pages would cost 40% of the time.
    let mut memory = Vec::new();
    while !shared.is_closed.load(Ordering::Acquire) {
        let task = slot.lock().take();
        let Some(task) = task else {
            std::thread::park();
            continue;
        };
        if task.try_start() && !task.is_obsolete() {
            task.run(&argon2, &mut memory);
        }
        shared.wake_dispatcher();
    }
}

/// Assigns tasks to the workers. Computes those that they do not start or finish in time, and queued ones: sign-ins for
/// at most half of its time, new passwords for a quarter.
fn run_dispatcher(shared: &Shared, mut workers: Vec<IdleWorker>, params: Params) {
    // Cannot fail: set only here.
    let _ = shared.dispatcher.set(std::thread::current());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = Vec::new();
    // In the order of assignment.
    let mut assigned: Vec<(Instant, Arc<Task>)> = Vec::new();
    let mut schedule = DispatcherSchedule {
        next_sign_in: Instant::now(),
        next_new_password: Instant::now(),
        fastest: INITIAL_FINISH_TIMEOUT / 2,
    };
    while !shared.is_closed.load(Ordering::Acquire) {
        let now = Instant::now();
        assigned.retain(|(_, task)| !task.is_obsolete());
        assigned.extend(workers.iter_mut().filter_map(|worker| Some((now, worker.assign_next(&shared.queues)?))));
        // Sign-ins first: a user waits for each.
        let is_due = |(since, task): &(Instant, Arc<Task>)| schedule.takeover_time(*since, task) <= now;
        let due_sign_in = assigned.iter().position(|entry| entry.1.is_sign_in() && is_due(entry));
        let due = due_sign_in.or_else(|| assigned.iter().position(is_due)).map(|index| assigned.remove(index).1);
        let pop = || shared.queues.lock().pop(schedule.next_sign_in <= now, schedule.next_new_password <= now);
        if let Some(task) = due.or_else(pop) {
            task.try_start();
            task.run(&argon2, &mut memory);
            schedule.record(task.is_sign_in(), now.elapsed());
            continue;
        }
        let due = assigned.iter().map(|(since, task)| schedule.takeover_time(*since, task)).min();
        let queues = shared.queues.lock();
        let sign_in = (queues.sign_ins.len() > 0).then_some(schedule.next_sign_in);
        let new_password = (queues.new_passwords.len() > 0).then_some(schedule.next_new_password);
        drop(queues);
        // Queuing or finishing a task wakes this thread earlier.
        match [due, sign_in, new_password].into_iter().flatten().min() {
            Some(next) => std::thread::park_timeout(next.saturating_duration_since(now)),
            None => std::thread::park(),
        }
    }
    for worker in workers {
        worker.thread.unpark();
    }
}

/// When the dispatcher computes tasks itself.
struct DispatcherSchedule {
    /// Earliest start of its next sign-in: it pauses as long as the last one took.
    next_sign_in: Instant,
    /// Earliest start of its next new password: it pauses three times as long.
    next_new_password: Instant,
    /// The shortest duration of a task so far. A worker that takes twice as long does not get a CPU.
    fastest: Duration,
}

impl DispatcherSchedule {
    /// When the dispatcher takes over a task that was assigned at `assigned_at`.
    fn takeover_time(&self, assigned_at: Instant, task: &Task) -> Instant {
        let time = if task.is_started.load(Ordering::Relaxed) { self.fastest * 2 } else { START_TIMEOUT };
        let pause_ends = if task.is_sign_in() { self.next_sign_in } else { self.next_new_password };
        (assigned_at + time).max(pause_ends)
    }

    fn record(&mut self, is_sign_in: bool, worked: Duration) {
        let now = Instant::now();
        self.fastest = self.fastest.min(worked);
        if is_sign_in {
            self.next_sign_in = now + worked;
        } else {
            self.next_new_password = now + worked * 3;
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

    /// A worker that has taken a task and is never scheduled again delays no caller.
    #[test]
    fn dispatcher_takes_over_unfinished_tasks() {
        for has_begun in [false, true] {
            let params = Params::new(8, 1, 1, None).unwrap();
            let pool = PasswordPool(Arc::new(Shared {
                queues: Mutex::new(TaskQueues {
                    sign_ins: FairQueue::new(1),
                    new_passwords: FairQueue::new(1),
                    sign_ins_since_new_password: 0,
                }),
                dispatcher: OnceLock::new(),
                is_closed: AtomicBool::new(false),
            }));
            // This thread never reads the slot.
            let slot = Arc::new(Mutex::new(None));
            let stalled_worker = IdleWorker { slot, last_task: None, thread: std::thread::current() };
            let (sender, mut receiver) = unbounded_channel();
            let task = Task::new(Job::Hash("secret-1".into(), sender));
            assert!(!has_begun || task.try_start());
            pool.enqueue(ONE, task);
            let shared = Arc::clone(&pool.0);
            let dispatcher = std::thread::spawn(move || run_dispatcher(&shared, vec![stalled_worker], params));
            let runtime = runtime();
            assert!(runtime.block_on(receiver.recv()).unwrap().is_some());
            assert!(runtime.block_on(pool.hash(ONE, "secret-2".into())).is_ok(), "the next task is served, too");
            drop(pool);
            dispatcher.join().unwrap();
        }
    }

    /// Abandoned requests leave no tasks behind, however many there are.
    #[test]
    fn abandoned_tasks_are_dropped() {
        let pool = PasswordPool::start(1, 4, Argon2Cost::FOR_TESTS).unwrap();
        for _ in 0..10_000 {
            drop(pool.hash(ONE, "secret-1".into()));
            drop(pool.verify(ONE, "secret-1".into(), None));
            let waiting = pool.0.queues.lock();
            assert!(waiting.sign_ins.len() <= 4 && waiting.new_passwords.len() <= 4);
        }
        assert!(runtime().block_on(pool.hash(ONE, "secret-1".into())).is_ok());
    }

    /// The queued tasks of one tenant take neither another tenant's places in the queues nor
    /// much of its time.
    #[test]
    fn queues_are_fair_and_prefer_sign_ins() {
        let pool = PasswordPool::start(1, 64, Argon2Cost::STANDARD).unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let recorded = |what: &'static str, pending: BoxFuture<'static, bool>| {
            let order = Arc::clone(&order);
            async move {
                let is_done = pending.await;
                order.lock().push((what, is_done));
            }
        };
        let hash = |tenant| {
            let hashed = pool.submit(tenant, |sender| Job::Hash("secret-1".into(), sender));
            Box::pin(async move { hashed.await.is_ok() }) as BoxFuture<'static, bool>
        };
        let verify = |tenant| {
            let verified = pool.submit(tenant, |sender| Job::Verify("secret-1".into(), None, sender));
            Box::pin(async move { verified.await.is_ok() }) as BoxFuture<'static, bool>
        };
        let mut all: Vec<_> = (0..70).map(|_| recorded("hash of one", hash(ONE))).collect();
        all.extend((0..70).map(|_| recorded("sign-in of one", verify(ONE))));
        all.push(recorded("sign-in of two", verify(TWO)));
        all.push(recorded("hash of two", hash(TWO)));
        runtime().block_on(futures_util::future::join_all(all));
        let order: Vec<_> = order.lock().iter().filter(|(_, is_done)| *is_done).map(|(what, _)| *what).collect();
        let index = |what: &str| order.iter().position(|done| *done == what);
        // One task of tenant 1 may be running in each thread.
        assert!(index("sign-in of two").is_some_and(|index| index <= 5), "{order:?}");
        assert!(index("hash of two").is_some_and(|index| index <= 12), "{order:?}");
        assert!(index("hash of one").is_some_and(|index| index <= 12), "sign-ins starve hashes: {order:?}");
    }

    #[test]
    fn hashes_verify_and_overload_is_rejected() {
        let runtime = runtime();
        let pool = PasswordPool::start(1, 1, Argon2Cost::FOR_TESTS).unwrap();
        let stored = runtime.block_on(pool.hash(ONE, "secret-1".into())).unwrap();
        let phc = stored.0.expose_secret();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(Argon2::default().verify_password(b"secret-1", phc).is_ok());
        assert!(Argon2::default().verify_password(b"secret-2", phc).is_err());
        let same = runtime.block_on(pool.verify(ONE, "secret-1".into(), Some(stored.clone()))).unwrap();
        assert_eq!(same, PasswordVerification::Success);
        let other = runtime.block_on(pool.verify(ONE, "secret-2".into(), Some(stored.clone()))).unwrap();
        assert_eq!(other, PasswordVerification::Failed);
        assert_eq!(runtime.block_on(pool.verify(ONE, "secret-1".into(), None)).unwrap(), PasswordVerification::Failed);
        let better = Argon2Cost { memory_kib: 16, passes: 2 };
        let better = PasswordPool::start(1, 1, better).unwrap();
        let weak = runtime.block_on(better.verify(ONE, "secret-1".into(), Some(stored.clone()))).unwrap();
        assert_eq!(weak, PasswordVerification::SuccessRehashNeeded);
        let slow = PasswordPool::start(1, 1, Argon2Cost::STANDARD).unwrap();
        let many: Vec<_> = (0..50).map(|_| slow.hash(ONE, "secret-1".into())).collect();
        let done = runtime.block_on(futures_util::future::join_all(many));
        assert!(done.iter().any(Result::is_ok) && done.iter().any(Result::is_err));
    }
}
