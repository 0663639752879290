//! What the records of all maps take together: tables have bounds like everything else, and these are checked
//! where a client makes something new. What is there already, or goes, is never refused.

use super::known_registers;
use super::map::Record;

/// What is counted over all maps, record by record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Registers of all kinds, each once for each of its writers; deleted ones too, because they stay.
    pub(super) registers: usize,
    /// Bytes of all arguments, and of all that this version cannot read.
    pub(super) argument_bytes: usize,
}

/// A bound of the cluster that is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Of what.
    pub(crate) what: &'static str,
    /// The limit.
    pub(crate) most: usize,
}

impl Size {
    pub(super) fn count(&mut self, record: &Record, add: bool) {
        let (registers, bytes) = match record {
            Record::Queue { record, .. } => (0, record.definition.arguments.weight_bytes()),
            Record::Binding { binding, .. } => (0, binding.arguments.weight_bytes()),
            Record::Register(register) => (1, known_registers::argument_bytes(register)),
            Record::Proposal { value, .. } => {
                (0, value.as_ref().map_or(0, |exchange| exchange.arguments.weight_bytes()))
            }
            Record::Unknown { value, .. } => (0, value.len()),
        };
        if add {
            self.registers += registers;
            self.argument_bytes += bytes;
        } else {
            self.registers -= registers;
            self.argument_bytes -= bytes;
        }
    }
}
