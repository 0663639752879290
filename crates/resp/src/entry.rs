//! What a line of `commands.txt` says.

/// Which arguments are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// The first; of a script, the first behind their number.
    One,
    /// All; the numbers of their answers are added.
    Sum,
    /// All; their answers are listed.
    Gather,
}

/// A permission of the user on `amq.leveret.sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To look at sessions.
    Read,
    /// To change them.
    Write,
    /// To list all of them, or to remove all of them.
    Configure,
}

/// A line of `commands.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In lower case; `a|b` is the subcommand b of a.
    pub name: &'static str,
    /// Arguments, the name among them; negative is "at least".
    pub arity: i8,
    /// Which arguments are keys.
    pub keys: Keys,
    /// What the user must be allowed to.
    pub right: Option<Right>,
    /// Allowed before the login.
    pub early: bool,
    /// Refused between MULTI and EXEC.
    pub nomulti: bool,
    /// Never queued by MULTI.
    pub now: bool,
    /// Has subcommands.
    pub container: bool,
}
