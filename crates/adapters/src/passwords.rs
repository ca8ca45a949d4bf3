//! Slow hashing of passwords in a pool of its own: a few threads that each keep their memory, and a short queue before
//! them.
//!
//! A password costs as much as hundreds of creates, so hashing never runs where requests or writes do, never takes
//! more memory than threads × 19 MiB (more for a moment where another system has stored a password so), and refuses
//! rather than queues without end. The threads run when nobody else would, so that whoever asks for many sign-ins does not
//! slow down what needs no password. Where the processors are never idle, one more thread works for a quarter of the time,
//! and does again what an idle one has begun and does not finish.

use crate::stored::{Stored, Way};
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{ExposeSecret, Hasher, Overloaded, Pending, SecretString, StoredPassword, Verdict};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

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

/// What is to be computed.
enum Job {
    Hash(SecretString),
    Verify(SecretString, Option<StoredPassword>),
}

/// Who waits for it.
enum Answer {
    Hashed(oneshot::Sender<Option<StoredPassword>>),
    Verified(oneshot::Sender<Verdict>),
}

impl Answer {
    fn is_closed(&self) -> bool {
        match self {
            Self::Hashed(answer) => answer.is_closed(),
            Self::Verified(answer) => answer.is_closed(),
        }
    }
}

/// A job that two threads may do: the first to finish answers.
struct Task {
    job: Job,
    /// `None` once it was answered.
    answer: Mutex<Option<Answer>>,
    /// When a thread first began it.
    begun: OnceLock<Instant>,
    /// How many tasks wait to be begun.
    waiting: Arc<AtomicUsize>,
}

impl Task {
    /// Whether nobody waits for it any more; where the caller has gone, nothing was promised.
    fn is_over(&self) -> bool {
        self.answer.lock().as_ref().is_none_or(Answer::is_closed)
    }

    /// Notes that it is being done; whether nobody did it before.
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
            Job::Hash(password) => {
                let hashed = hash(argon2, memory, password.expose_secret());
                if hashed.is_none() {
                    tracing::error!("a password could not be hashed");
                }
                if let Some(Answer::Hashed(answer)) = self.answer.lock().take() {
                    drop(answer.send(hashed));
                }
            }
            Job::Verify(password, stored) => {
                let verdict = verify(argon2, memory, password.expose_secret(), stored.as_ref());
                if let Some(Answer::Verified(answer)) = self.answer.lock().take() {
                    let _ = answer.send(verdict);
                }
            }
        }
    }
}

/// How long an idle thread may have a task before it is done again. A password takes tens of milliseconds; a thread that
/// runs only when nobody else would can take minutes where the processors are busy.
const PATIENCE: Duration = Duration::from_millis(250);

/// The pool.
pub struct PasswordPool {
    /// Every task goes to the idle threads and to the one that always works. They share no lock: whoever is hardly ever
    /// run must hold nothing that others need.
    to_idle: mpsc::Sender<Arc<Task>>,
    to_steady: mpsc::Sender<Arc<Task>>,
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
        let (to_idle, tasks) = mpsc::channel::<Arc<Task>>();
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 1..=threads.max(1) {
            let (tasks, params) = (Arc::clone(&tasks), params.clone());
            let name = format!("muster-hash-{number}");
            std::thread::Builder::new().name(name).spawn(move || work_when_idle(&tasks, params))?;
        }
        let (to_steady, tasks) = mpsc::channel();
        let name = "muster-hash-0".to_owned();
        std::thread::Builder::new().name(name).spawn(move || work_steadily(&tasks, params))?;
        Ok(Self { to_idle, to_steady, waiting: Arc::default(), most_waiting: waiting })
    }

    /// Queues a job; its answer is dropped when it could not be done.
    fn ask<T: Send + 'static>(
        &self,
        job: Job,
        wrap: impl FnOnce(oneshot::Sender<T>) -> Answer,
    ) -> Pending<'static, Result<T, Overloaded>> {
        let (answer, answered) = oneshot::channel();
        let room = self.waiting.try_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < self.most_waiting).then_some(waiting + 1)
        });
        let sent = room.map_err(|_| Overloaded).and_then(|_| {
            let answer = Mutex::new(Some(wrap(answer)));
            let waiting = Arc::clone(&self.waiting);
            let task = Arc::new(Task { job, answer, begun: OnceLock::new(), waiting });
            self.to_steady.send(Arc::clone(&task)).map_err(|_| Overloaded)?;
            self.to_idle.send(task).map_err(|_| Overloaded)
        });
        Box::pin(async move {
            sent?;
            answered.await.map_err(|_| Overloaded)
        })
    }
}

impl Hasher for PasswordPool {
    fn hash(&self, password: SecretString) -> Pending<'_, Result<StoredPassword, Overloaded>> {
        let hashed = self.ask(Job::Hash(password), Answer::Hashed);
        Box::pin(async move { hashed.await?.ok_or(Overloaded) })
    }

    fn verify(
        &self,
        password: SecretString,
        stored: Option<StoredPassword>,
    ) -> Pending<'_, Result<Verdict, Overloaded>> {
        self.ask(Job::Verify(password, stored), Answer::Verified)
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

fn work_when_idle(tasks: &Mutex<mpsc::Receiver<Arc<Task>>>, params: Params) {
    give_way();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Taken with the first password and kept from then on: fresh pages would cost two fifths of the time.
    let mut memory = Vec::new();
    loop {
        let task = tasks.lock().recv();
        let Ok(task) = task else { return };
        if task.begin() && !task.is_over() {
            task.carry_out(&argon2, &mut memory);
        }
    }
}

/// Works when nobody else has begun a task or who has begun it does not finish, and rests three times as long as it worked.
fn work_steadily(tasks: &mpsc::Receiver<Arc<Task>>, params: Params) {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = Vec::new();
    // Begun by others, in the order in which they came.
    let mut watched: VecDeque<Arc<Task>> = VecDeque::new();
    loop {
        watched.extend(tasks.try_iter());
        // What nobody waits for any more waits for no thread either.
        watched.retain(|task| {
            !task.is_over() || {
                task.begin();
                false
            }
        });
        let is_left = |task: &Arc<Task>| task.begun.get().is_none_or(|begun| begun.elapsed() >= PATIENCE);
        if let Some(task) = watched.iter().position(is_left).and_then(|at| watched.remove(at)) {
            let now = Instant::now();
            task.begin();
            task.carry_out(&argon2, &mut memory);
            std::thread::sleep(now.elapsed() * 3);
            continue;
        }
        let next = if watched.is_empty() {
            tasks.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            tasks.recv_timeout(PATIENCE)
        };
        match next {
            Ok(task) => watched.push_back(task),
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
        let (answer, answered) = oneshot::channel();
        let task = Arc::new(Task {
            job: Job::Hash("secret-1".into()),
            answer: Mutex::new(Some(Answer::Hashed(answer))),
            begun: OnceLock::new(),
            waiting: Arc::new(AtomicUsize::new(1)),
        });
        assert!(task.begin() && !task.begin());
        pool.to_steady.send(Arc::clone(&task)).unwrap();
        pool.to_idle.send(Arc::clone(&task)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(answered).unwrap().is_some());
        assert!(task.is_over());
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
