//! Deadlines of commands as bytes.

use alloc::vec::Vec;

use leveret_model::session::Expiry;

use crate::fields::{Damage, Put, Take};

pub(super) fn put_expiry(out: &mut Vec<u8>, expiry: Expiry) {
    let (form, left) = match expiry {
        Expiry::Unsaid => (0, 0),
        Expiry::Keep => (1, 0),
        Expiry::Never => (2, 0),
        Expiry::In(left) => (3, left),
    };
    out.u8(form);
    out.i64(left);
}

pub(super) fn take_expiry(take: &mut Take<'_>) -> Result<Expiry, Damage> {
    let (form, left) = (take.u8()?, take.i64()?);
    Ok(match form {
        0 => Expiry::Unsaid,
        1 => Expiry::Keep,
        2 => Expiry::Never,
        3 => Expiry::In(left),
        _ => return Err(Damage::Value("expiry")),
    })
}
