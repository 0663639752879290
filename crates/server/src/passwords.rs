//! The threads that hash passwords: slow by intent, so never on a shard. They start with the first job, and are
//! as many as `limits::PASSWORD_HASHES_AT_ONCE`.

use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use leveret_model::{ShardId, limits};
use leveret_shard::PasswordJob;
use tracing::warn;

use crate::mailbox::MailTo;
use crate::shard_thread::{ShardThread, ToShardThread};

/// A password, from that shard; its client is gone when the last part is.
type Check = (ShardId, PasswordJob, Weak<()>);

/// The way to the hashing threads.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    shards: Arc<OnceLock<Vec<MailTo<ToShardThread>>>>,
    jobs: Arc<OnceLock<Sender<Check>>>,
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
    fn hash(&self, check: Check) {
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
        if jobs.try_send(check).is_err() {
            warn!("too many logins wait for their password to be checked");
        }
    }
}

impl ShardThread {
    /// Hashes the passwords that came in this turn.
    pub(crate) fn check_passwords(&mut self) {
        let mut jobs = std::mem::take(&mut self.effects.passwords);
        for job in jobs.drain(..) {
            let Some(check) = self.password_check(job.connection) else { continue };
            let client = Arc::downgrade(check.insert(Arc::default()));
            self.ways.passwords.hash((self.own.shard, job, client));
        }
        self.effects.passwords = jobs;
    }

    /// A hash that became better is for all shards: each has the users of the node.
    pub(crate) fn tell_hash_upgrades(&mut self) {
        for upgrade in self.effects.hash_upgrades.drain(..) {
            let own = usize::from(self.own.shard.0);
            for (_, other) in self.ways.shards.iter().enumerate().filter(|(shard, _)| *shard != own) {
                other.send(ToShardThread::HashUpgrade(upgrade.clone()));
            }
        }
    }
}

fn work(jobs: &Receiver<Check>, shards: &OnceLock<Vec<MailTo<ToShardThread>>>) {
    for (shard, PasswordJob { connection, mechanism, job }, client) in jobs {
        // Clients that gave up come again behind their own old checks: if those were made, none would be in
        // time.
        if client.strong_count() == 0 {
            continue;
        }
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

#[cfg(test)]
mod tests {
    use leveret_auth::{Mechanism, Origin, Users, Verdict};
    use leveret_model::{ConnectionKey, Instant};
    use mio::{Poll, Token};

    use super::*;
    use crate::mailbox::mailbox;

    #[test]
    fn the_password_of_a_client_that_is_gone_is_not_hashed() {
        let mut users = Users::new([7; 32]);
        let mut check = |slot| {
            let login = Mechanism::from_name("PLAIN").unwrap().parse(b"\0guest\0not-the-password").unwrap();
            let Verdict::NeedsHash(job) = users.check(&login, Origin::Loopback, Instant::ZERO) else {
                panic!("a wrong password costs a hash");
            };
            let connection = ConnectionKey { slot, generation: 0 };
            PasswordJob { connection, mechanism: "PLAIN".to_owned(), job }
        };
        let (sender, jobs) = bounded(2);
        let (gone, there) = (Arc::new(()), Arc::new(()));
        sender.send((ShardId(0), check(1), Arc::downgrade(&gone))).unwrap();
        sender.send((ShardId(0), check(2), Arc::downgrade(&there))).unwrap();
        drop((sender, gone));
        let poll = Poll::new().unwrap();
        let (mailbox, address) = mailbox(poll.registry(), Token(0)).unwrap();
        work(&jobs, &OnceLock::from(vec![address]));
        let hashed = std::iter::from_fn(|| mailbox.take()).map(|mail| match mail {
            ToShardThread::Password { connection, .. } => connection.slot,
            other => panic!("{other:?}"),
        });
        assert_eq!(hashed.collect::<Vec<_>>(), [2]);
    }
}
