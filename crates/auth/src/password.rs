//! Passwords and their hashes: argon2id for our own, RabbitMQ's salted SHA-2 for users taken over from there.
//!
//! Invariants: [`PasswordHash::of`] and [`PasswordHash::verify`] are slow on purpose (about 20 ms and 19 MiB) and run off
//! the shard; nothing here is shown by `Debug`; comparisons take constant time.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use leveret_model::limits;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Random bytes of one hash, from the driver.
pub type Salt = [u8; 16];

/// Bytes of salt in front of RabbitMQ's hashes.
const RABBITMQ_SALT_BYTES: usize = 4;

/// A password as somebody typed it.
#[derive(Clone)]
pub struct Password(Box<[u8]>);

impl Password {
    /// A password.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// True for the empty password, which opens nothing (RabbitMQ: blank passwords are refused).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why text or bytes are no hash. For whoever hands over users; nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not of this form.
    #[error("not a password hash of the form that it says")]
    Malformed,
    /// Not argon2id.
    #[error("not an argon2id hash")]
    Algorithm,
    /// Would take more than `limits` allow at each login.
    #[error("asks for more memory or passes than allowed")]
    TooExpensive,
}

/// What is kept of a password.
#[derive(Clone, PartialEq)]
pub struct PasswordHash(Kind);

#[derive(Clone, PartialEq)]
enum Kind {
    Argon2id(Box<phc::PasswordHash>),
    /// RabbitMQ: rabbit_password_hashing_sha256, salt in front of the digest.
    Sha256(Box<[u8]>),
    /// RabbitMQ: rabbit_password_hashing_sha512
    Sha512(Box<[u8]>),
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Argon2id(_) => "PasswordHash::Argon2id(..)",
            Kind::Sha256(_) => "PasswordHash::Sha256(..)",
            Kind::Sha512(_) => "PasswordHash::Sha512(..)",
        })
    }
}

impl PasswordHash {
    /// The argon2id hash of a password. Slow.
    #[must_use]
    pub fn of(password: &Password, salt: &Salt) -> Self {
        let hash: phc::PasswordHash = hasher()
            .hash_password_with_salt(password.bytes(), salt)
            .expect("argon2 takes passwords under 4 GiB and salts of 16 bytes (RFC 9106 §3.1)");
        Self(Kind::Argon2id(Box::new(hash)))
    }

    /// An argon2id hash as a PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// [`HashError`].
    pub fn from_phc(text: &str) -> Result<Self, HashError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| HashError::Malformed)?;
        if hash.algorithm != Algorithm::Argon2id.ident() {
            return Err(HashError::Algorithm);
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Malformed);
        }
        let params = Params::try_from(&hash).map_err(|_| HashError::Malformed)?;
        let lanes_max = 4;
        if params.m_cost() > limits::PASSWORD_HASH_KIB_MAX
            || params.t_cost() > limits::PASSWORD_HASH_PASSES_MAX
            || params.p_cost() > lanes_max
        {
            return Err(HashError::TooExpensive);
        }
        Ok(Self(Kind::Argon2id(Box::new(hash))))
    }

    /// RabbitMQ's default hash: four bytes of salt and SHA-256 of salt and password, decoded from base 64.
    ///
    /// # Errors
    /// [`HashError::Malformed`] if the length is another.
    pub fn from_rabbitmq_sha256(bytes: &[u8]) -> Result<Self, HashError> {
        salted(bytes, Sha256::output_size()).map(|bytes| Self(Kind::Sha256(bytes)))
    }

    /// The same with SHA-512.
    ///
    /// # Errors
    /// [`HashError::Malformed`] if the length is another.
    pub fn from_rabbitmq_sha512(bytes: &[u8]) -> Result<Self, HashError> {
        salted(bytes, Sha512::output_size()).map(|bytes| Self(Kind::Sha512(bytes)))
    }

    /// The PHC string, to be stored; none for hashes taken over, which are stored as they came.
    #[must_use]
    pub fn to_phc(&self) -> Option<Box<str>> {
        match &self.0 {
            Kind::Argon2id(hash) => Some(hash.to_string().into()),
            Kind::Sha256(_) | Kind::Sha512(_) => None,
        }
    }

    /// True for our own kind; others are replaced at the next login.
    #[must_use]
    pub fn is_argon2id(&self) -> bool {
        matches!(self.0, Kind::Argon2id(_))
    }

    /// Is it the password? Slow for argon2id.
    #[must_use]
    pub fn verify(&self, password: &Password) -> bool {
        match &self.0 {
            // by the hash's own parameters
            Kind::Argon2id(hash) => hasher().verify_password(password.bytes(), &**hash).is_ok(),
            Kind::Sha256(bytes) => verify_salted::<Sha256>(bytes, password),
            Kind::Sha512(bytes) => verify_salted::<Sha512>(bytes, password),
        }
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(limits::PASSWORD_HASH_KIB, limits::PASSWORD_HASH_PASSES, 1, None)
        .expect("constants within argon2's range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn salted(bytes: &[u8], digest_bytes: usize) -> Result<Box<[u8]>, HashError> {
    if bytes.len() == RABBITMQ_SALT_BYTES + digest_bytes {
        Ok(bytes.into())
    } else {
        Err(HashError::Malformed)
    }
}

fn verify_salted<D: Digest>(bytes: &[u8], password: &Password) -> bool {
    let (salt, expected) = bytes.split_at(RABBITMQ_SALT_BYTES);
    let digest = D::new().chain_update(salt).chain_update(password.bytes()).finalize();
    digest.as_slice().ct_eq(expected).into()
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn a_hash_verifies_its_password_alone_and_survives_its_text() {
        let password = Password::new(b"hunter2");
        let hash = PasswordHash::of(&password, &[7; 16]);
        let text = hash.to_phc().unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let back = PasswordHash::from_phc(&text).unwrap();
        assert!(back == hash);
        assert!(back.verify(&password));
        assert!(!back.verify(&Password::new(b"hunter3")));
        assert!(!back.verify(&Password::new(b"")));
    }

    #[test]
    fn hashes_of_rabbitmq_verify() {
        // RabbitMQ documentation, "Passwords": test12 with salt 908DC60A is kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR
        let documented = [
            0x90, 0x8d, 0xc6, 0x0a, 0xa5, 0xb9, 0x24, 0xb3, 0x09, 0x6b, 0x88, 0x97, 0xd6, 0x5a, 0x3b, 0x5f,
            0x80, 0xfa, 0x5d, 0xb6, 0x2a, 0x94, 0xb8, 0x31, 0x22, 0xcd, 0xf4, 0xf8, 0xfe, 0xad, 0x10, 0xd5,
            0x15, 0xd8, 0xf3, 0x91,
        ];
        let salt = &documented[..4];
        let right = Password::new(b"test12");
        let sha256 =
            [salt, &Sha256::new().chain_update(salt).chain_update(b"test12").finalize()[..]].concat();
        let sha512 =
            [salt, &Sha512::new().chain_update(salt).chain_update(b"test12").finalize()[..]].concat();
        for hash in [PasswordHash::from_rabbitmq_sha256(&sha256), PasswordHash::from_rabbitmq_sha512(&sha512)]
        {
            let hash = hash.unwrap();
            assert!(hash.verify(&right) && !hash.verify(&Password::new(b"test13")));
            assert!(!hash.is_argon2id());
        }
        assert_eq!(sha256, documented);
    }

    #[test]
    fn foreign_hashes_are_checked_before_they_are_kept() {
        let refused = |text: &str| PasswordHash::from_phc(text).unwrap_err();
        let hash = PasswordHash::of(&Password::new(b"x"), &[1; 16]).to_phc().unwrap();
        assert_eq!(refused(&hash.replace("argon2id", "argon2i")), HashError::Algorithm);
        assert_eq!(refused(&hash.replace("m=19456", "m=4000000")), HashError::TooExpensive);
        assert_eq!(refused(&hash.replace("t=2", "t=1000")), HashError::TooExpensive);
        assert_eq!(refused("$argon2id$v=19$m=19456,t=2,p=1"), HashError::Malformed);
        assert_eq!(refused("hunter2"), HashError::Malformed);
        assert_eq!(PasswordHash::from_rabbitmq_sha256(&[0; 35]).unwrap_err(), HashError::Malformed);
    }

    #[test]
    fn nothing_of_a_password_or_hash_is_shown() {
        let password = Password::new(b"hunter2");
        let hash = PasswordHash::of(&password, &[1; 16]);
        assert_eq!(format!("{password:?} {hash:?}"), "Password(..) PasswordHash::Argon2id(..)");
    }
}
