//! MULTI, EXEC, DISCARD: commands that are kept and done as one.
//!
//! All commands on keys must name one key of one database, because one home does them as one commit. Commands
//! without a key are done by the connection when the block is, in their order.

use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::{Answer, Database, KeyCommand};

use crate::block::Block;
use crate::connection::{Connection, Step};
use crate::decode::Arguments;
use crate::encode;
use crate::entry::Keys;
use crate::host::Host;
use crate::replies::{Piece, Plan};
use crate::table::Id;
use crate::texts;

/// What a block asks of its key.
#[derive(Default)]
struct Plot<'a> {
    pieces: Vec<Piece>,
    key: Option<(Database, &'a [u8])>,
    commands: Vec<KeyCommand<'a>>,
    /// Two keys, or two databases.
    crossed: bool,
}

impl<'a> Plot<'a> {
    fn ask(&mut self, database: Database, key: &'a [u8], command: KeyCommand<'a>) {
        self.crossed |= *self.key.get_or_insert((database, key)) != (database, key);
        self.commands.push(command);
    }
}

impl Connection {
    pub(crate) fn multi<H: Host>(&mut self, step: &mut Step<'_, H>) {
        if self.block.is_some() {
            return self.error(step.out, &texts::MULTI_NESTED);
        }
        self.block = Some(Block::default());
        self.status(step.out, "OK");
    }

    pub(crate) fn discard<H: Host>(&mut self, step: &mut Step<'_, H>) {
        match self.block.take() {
            Some(_) => self.status(step.out, "OK"),
            None => self.error(step.out, &texts::DISCARD_WITHOUT_MULTI),
        }
    }

    /// Keeps a command for EXEC.
    pub(crate) fn queue<H: Host>(&mut self, id: Id, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        if id.entry().nomulti {
            return self.reject(step, &texts::NOT_IN_MULTI);
        }
        if self.block.as_mut().is_some_and(|block| block.push(id, arguments)) {
            self.status(step.out, "QUEUED");
        } else {
            self.reject(step, &texts::BLOCK_TOO_LONG);
        }
    }

    pub(crate) fn exec<H: Host>(&mut self, step: &mut Step<'_, H>) {
        let Some(block) = self.block.take() else {
            return self.error(step.out, &texts::EXEC_WITHOUT_MULTI);
        };
        if block.is_spoiled() {
            return self.error(step.out, &texts::EXECABORT);
        }
        let database = self.database;
        let plot = self.plot(&block, step);
        if plot.crossed {
            // nothing was done, so a SELECT in the block was not either
            self.database = database;
            return self.error(step.out, &texts::CROSSSLOT);
        }
        let mut plan = Plan::Block(plot.pieces);
        let Some((database, key)) = plot.key else {
            if let Some(bytes) = plan.take(0, Answer::Block(&[]), self.protocol) {
                self.replies.ready(step.out, |out| out.extend_from_slice(&bytes));
            }
            return;
        };
        let ticket = self.replies.next_ticket();
        match step.host.execute_block(ticket, database, key, &plot.commands) {
            Some(answer) => {
                if let Some(bytes) = plan.take(0, answer, self.protocol) {
                    self.replies.ready(step.out, |out| out.extend_from_slice(&bytes));
                }
            }
            None => self.replies.wait(plan, self.protocol),
        }
    }

    /// Reads the arguments of every command, and does those that need no key.
    fn plot<'a, H: Host>(&mut self, block: &'a Block, step: &mut Step<'_, H>) -> Plot<'a> {
        let mut plot = Plot::default();
        for (id, arguments) in block.commands() {
            let keys = id.entry().keys;
            let mut bytes = Vec::new();
            if keys == Keys::None {
                self.local(id, arguments, step.host, &mut bytes);
                plot.pieces.push(Piece::Local(bytes));
                continue;
            }
            let keys_max = if keys == Keys::One { 1 } else { usize::MAX };
            let count = (arguments.count() - 1).min(keys_max);
            match crate::keys::parse(id, arguments, step.unix_ms) {
                Err(text) => {
                    encode::error(&mut bytes, &text);
                    plot.pieces.push(Piece::Local(bytes));
                }
                Ok((key, _)) if key.len() > limits::SESSION_KEY_BYTES_MAX => {
                    encode::error(&mut bytes, &texts::KEY_TOO_LONG);
                    plot.pieces.push(Piece::Local(bytes));
                }
                Ok((key, command)) if keys == Keys::One => {
                    plot.ask(self.database, key, command);
                    plot.pieces.push(Piece::Answer);
                }
                Ok((_, command)) => {
                    for key in arguments.from(1) {
                        plot.ask(self.database, key, command);
                    }
                    let sum = keys == Keys::Sum;
                    plot.pieces.push(if sum { Piece::Sum(count) } else { Piece::Gather(count) });
                }
            }
        }
        plot
    }
}
