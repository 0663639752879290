//! The commands of a transaction, kept as bytes until EXEC.

use alloc::vec::Vec;
use core::ops::Range;

use leveret_model::limits;

use crate::decode::Arguments;
use crate::table::Id;

/// What has been said since MULTI.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// All arguments of all commands.
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// Each command, and where its arguments end in `ranges`.
    commands: Vec<(Id, usize)>,
    spoiled: bool,
}

impl Block {
    /// EXEC will do nothing, because a command of the block was refused.
    pub(crate) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// True if EXEC will do nothing.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// False if there is no room.
    pub(crate) fn push(&mut self, id: Id, arguments: Arguments<'_>) -> bool {
        let bytes: usize = arguments.from(0).map(<[u8]>::len).sum();
        if self.commands.len() >= limits::RESP_BLOCK_COMMANDS_MAX
            || self.bytes.len() + bytes > limits::RESP_BLOCK_BYTES_MAX
        {
            return false;
        }
        for argument in arguments.from(0) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(argument);
            self.ranges.push(start..self.bytes.len());
        }
        self.commands.push((id, self.ranges.len()));
        true
    }

    pub(crate) fn commands(&self) -> impl Iterator<Item = (Id, Arguments<'_>)> {
        let mut start = 0;
        self.commands.iter().map(move |&(id, end)| {
            let ranges = &self.ranges[start..end];
            start = end;
            (id, Arguments::new(&self.bytes, ranges))
        })
    }
}
