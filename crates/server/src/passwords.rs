//! Argon2id in a pool of its own: a few threads that each keep their memory, and a short queue before them.
//!
//! A password costs as much as hundreds of creates, so hashing never runs where requests or writes do, never takes
//! more memory than threads × 19 MiB, and refuses rather than queues without end.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use directory::{ExposeSecret, Hasher, Overloaded, Pending, SecretString, StoredPassword};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
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

struct Job {
    password: SecretString,
    answer: oneshot::Sender<Option<StoredPassword>>,
}

/// The pool.
pub struct PasswordPool {
    queue: mpsc::SyncSender<Job>,
}

impl PasswordPool {
    /// A pool of so many threads with room for so many waiting.
    pub fn start(threads: usize, waiting: usize, strength: Strength) -> anyhow::Result<Self> {
        let (queue, jobs) = mpsc::sync_channel::<Job>(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        let params = Params::new(strength.memory_kib, strength.passes, 1, None)
            .map_err(|error| anyhow::anyhow!("password strength: {error}"))?;
        for number in 0..threads.max(1) {
            let (jobs, params) = (Arc::clone(&jobs), params.clone());
            std::thread::Builder::new()
                .name(format!("muster-hash-{number}"))
                .spawn(move || work(&jobs, params))?;
        }
        Ok(Self { queue })
    }
}

impl Hasher for PasswordPool {
    fn hash(&self, password: SecretString) -> Pending<'_, Result<StoredPassword, Overloaded>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.queue.try_send(Job { password, answer });
        Box::pin(async move {
            sent.map_err(|_| Overloaded)?;
            answered.await.ok().flatten().ok_or(Overloaded)
        })
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, params: Params) {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Taken with the first password and kept from then on: fresh pages would cost two fifths of the time.
    let mut memory = Vec::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.answer.is_closed() {
            continue; // the caller has gone; nothing was promised
        }
        memory.resize(argon2.params().block_count(), Block::default());
        let hashed = hash(&argon2, &mut memory, job.password.expose_secret());
        if hashed.is_none() {
            tracing::error!("a password could not be hashed");
        }
        drop(job.answer.send(hashed));
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

    #[test]
    fn a_hash_verifies_and_overload_is_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pool = PasswordPool::start(1, 1, Strength::FOR_TESTS).unwrap();
        let stored = runtime.block_on(pool.hash("secret-1".into())).unwrap();
        let phc = stored.0.expose_secret();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(Argon2::default().verify_password(b"secret-1", phc).is_ok());
        assert!(Argon2::default().verify_password(b"secret-2", phc).is_err());
        let slow = PasswordPool::start(1, 1, Strength::STANDARD).unwrap();
        let many: Vec<_> = (0..50).map(|_| slow.hash("secret-1".into())).collect();
        let done = runtime.block_on(futures_util::future::join_all(many));
        assert!(done.iter().any(Result::is_ok) && done.iter().any(Result::is_err));
    }
}
