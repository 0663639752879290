//! Who a client is and what it may touch: SASL mechanisms, users, passwords, permissions.
//!
//! ```text
//!   shard: Mechanism::parse ─▶ Users::check ─┬─ Known ────────────────────▶ logged in
//!                                            ├─ Refused ──────────────────▶ 403
//!                                            └─ NeedsHash(job) ─▶ driver: job.run(salt) off the shard
//!          Users::on_hashed ◀──────────────────────────────────── Hashed ─┘
//! ```
//! Read first: [`user`]. Invariants: a password or hash is never shown by `Debug`; passwords and hashes are compared in
//! constant time; an unknown user costs the same hash as a known one; only a right password is remembered.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod access;
mod cache;
pub mod mechanism;
pub mod password;
mod secrets;
pub mod user;

pub use access::{Access, Pattern, PatternError, Permissions};
pub use mechanism::{Login, LoginError, Mechanism};
pub use password::{HashError, Password, PasswordHash, Salt};
pub use secrets::SecretNumbers;
pub use user::{Credential, HashJob, HashUpgrade, Hashed, JobId, LoginRefused, Origin, User, Users, Verdict};
