//! Slow hashing of passwords in a pool of its own: a few threads that each keep their memory, and a short queue before
//! them.
//!
//! A password costs as much as hundreds of creates, so hashing never runs where requests or writes do, never takes
//! more memory than threads × 19 MiB (more for a moment where another system has stored a password so), and refuses
//! rather than queues without end. The threads run when nobody else would, so that whoever asks for many sign-ins does not
//! slow down what needs no password; one more works for a quarter of the time whatever the others do, so that nobody waits
//! for ever where the processors are never idle.

use crate::stored::{Stored, Way};
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{ExposeSecret, Hasher, Overloaded, Pending, SecretString, StoredPassword, Verdict};
use parking_lot::Mutex;
use std::sync::{Arc, mpsc};
use std::time::Instant;
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

enum Job {
    Hash(SecretString, oneshot::Sender<Option<StoredPassword>>),
    Verify(SecretString, Option<StoredPassword>, oneshot::Sender<Verdict>),
}

/// The pool.
pub struct PasswordPool {
    queue: mpsc::SyncSender<Job>,
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
        let (queue, jobs) = mpsc::sync_channel::<Job>(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        let params = Params::new(strength.memory_kib, strength.passes, 1, None)
            .map_err(|error| anyhow::anyhow!("password strength: {error}"))?;
        for number in 0..=threads.max(1) {
            let (jobs, params) = (Arc::clone(&jobs), params.clone());
            let turn = if number == 0 { Turn::AlwaysAQuarter } else { Turn::WhenIdle };
            std::thread::Builder::new()
                .name(format!("muster-hash-{number}"))
                .spawn(move || work(&jobs, params, turn))?;
        }
        Ok(Self { queue })
    }
}

impl PasswordPool {
    /// Queues a job; its answer is dropped when it could not be done.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<T>) -> Job,
    ) -> Pending<'static, Result<T, Overloaded>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.queue.try_send(job(answer));
        Box::pin(async move {
            sent.map_err(|_| Overloaded)?;
            answered.await.map_err(|_| Overloaded)
        })
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

/// When a thread gets to work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// When nobody else would use the processor. A low priority alone is not enough: who has it is not interrupted at once
    /// for who wakes up, and a create wakes several.
    WhenIdle,
    /// Always, and rests three times as long as it worked.
    AlwaysAQuarter,
}

/// Lets this thread run when nobody else would, where the system can do that.
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

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, params: Params, turn: Turn) {
    if turn == Turn::WhenIdle {
        give_way();
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Taken with the first password and kept from then on: fresh pages would cost two fifths of the time.
    let mut memory = Vec::new();
    loop {
        let job = jobs.lock().recv();
        let Ok(job) = job else { return };
        memory.resize(argon2.params().block_count(), Block::default());
        let begun = Instant::now();
        match job {
            // Where the caller has gone, nothing was promised.
            Job::Hash(_, answer) if answer.is_closed() => {}
            Job::Verify(.., answer) if answer.is_closed() => {}
            Job::Hash(password, answer) => {
                let hashed = hash(&argon2, &mut memory, password.expose_secret());
                if hashed.is_none() {
                    tracing::error!("a password could not be hashed");
                }
                drop(answer.send(hashed));
            }
            Job::Verify(password, stored, answer) => {
                let verdict = verify(&argon2, &mut memory, password.expose_secret(), stored.as_ref());
                let _ = answer.send(verdict);
            }
        }
        if turn == Turn::AlwaysAQuarter {
            std::thread::sleep(begun.elapsed() * 3);
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
