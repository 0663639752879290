//! A node of a later version, for tests and the simulator: it writes and says what this version does not know.
//!
//! Everything that it does it does as the writer of its own map, so its peers meet it on the way that they
//! would meet a true one.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::Instant;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::control::Control;
use crate::directory::map::{Dropped, Op, Record};
use crate::directory::register::{Register, RegisterKey, RegisterKind};

/// The number of every kind that only the later version has: of records, registers and frames.
pub const LATER_KIND: u32 = 4_000;
/// Registers that it writes over and over.
pub const LATER_REGISTERS: u64 = 8;

impl Control {
    /// Writes a record in place of the one of `number - 1`, writes a register over, and says something to all
    /// peers.
    pub fn act_as_later_version(&mut self, now: Instant, number: u64) {
        self.note_time(now);
        let key = |number: u64| Box::from(number.to_be_bytes());
        let value: Box<[u8]> = b"of a later version"[..].into();
        if let Some(before) = number.checked_sub(1) {
            self.directory.write(Op::Drop(Dropped::Unknown(LATER_KIND, key(before))));
        }
        let record = Record::Unknown { kind: LATER_KIND, key: key(number), value: value.clone() };
        self.directory.write(Op::Put(record));
        let register = RegisterKey { kind: RegisterKind(LATER_KIND), key: key(number % LATER_REGISTERS) };
        let stamp = self.directory.stamp();
        let register = Register { key: register, stamp, deleted: 0, value: Some(value) };
        self.directory.write(Op::Put(Record::Register(register)));
        for peer in self.peers() {
            if let Some(link) = self.members.get(&peer).and_then(|member| member.link) {
                self.effects.frames.push((link, frame()));
            }
        }
        self.work_out(now);
    }
}

/// A control frame of the later kind, with some fields.
fn frame() -> Vec<u8> {
    let mut frame = Vec::new();
    encode_key(LATER_KIND, WireType::LengthDelimited, &mut frame);
    encode_varint(3, &mut frame);
    frame.extend_from_slice(&[1 << 3, 200, 1]);
    frame
}
