//! The threads that hash passwords: slow by intent, so never on a shard. They start with the first job, and are as many
//! as `limits::PASSWORD_HASHES_AT_ONCE`.

use std::sync::Arc;
use std::sync::OnceLock;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use leveret_model::{ShardId, limits};
use leveret_shard::PasswordJob;
use tracing::warn;

use crate::mailbox::MailTo;
use crate::shard_thread::ToShardThread;

/// The way to the hashing threads.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    shards: Arc<OnceLock<Vec<MailTo<ToShardThread>>>>,
    jobs: Arc<OnceLock<Sender<(ShardId, PasswordJob)>>>,
}

impl Passwords {
    /// No thread yet.
    pub(crate) fn new() -> Self {
        Self { shards: Arc::default(), jobs: Arc::default() }
    }

    /// Where results go.
    pub(crate) fn answer_to(&self, shards: Vec<MailTo<ToShardThread>>) {
        let _ = self.shards.set(shards);
    }

    /// Hashes; the outcome comes as mail.
    pub(crate) fn hash(&self, from: ShardId, job: PasswordJob) {
        let jobs = self.jobs.get_or_init(|| {
            let (sender, jobs) = bounded(limits::PASSWORD_JOBS_MAX);
            for _ in 0..limits::PASSWORD_HASHES_AT_ONCE {
                let (jobs, shards) = (jobs.clone(), Arc::clone(&self.shards));
                let work = move || work(&jobs, &shards);
                if let Err(error) = thread::Builder::new().name("passwords".into()).spawn(work) {
                    warn!(%error, "no thread for password hashing: logins are slow, or time out");
                }
            }
            sender
        });
        if jobs.try_send((from, job)).is_err() {
            warn!("too many logins wait for their password to be checked");
        }
    }
}

fn work(jobs: &Receiver<(ShardId, PasswordJob)>, shards: &OnceLock<Vec<MailTo<ToShardThread>>>) {
    for (shard, PasswordJob { connection, mechanism, job }) in jobs {
        let mut salt = leveret_auth::Salt::default();
        if getrandom::fill(&mut salt).is_err() {
            continue;
        }
        let hashed = job.run(&salt);
        if let Some(address) = shards.get().and_then(|all| all.get(usize::from(shard.0))) {
            address.send(ToShardThread::Password { connection, mechanism, hashed });
        }
    }
}
