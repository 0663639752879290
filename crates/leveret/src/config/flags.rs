//! The table as command-line flags.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::options::{self, Declared};

/// Flags of `leveret serve` as texts; [`super::load`] gives them their meaning, together with the other
/// sources.
#[derive(Debug, Default)]
pub(crate) struct ServeArgs {
    /// Key and values of each flag that was given.
    pub(crate) given: Vec<(&'static str, Vec<String>)>,
}

/// Adds the flags of these options to a command.
pub(crate) fn augment(command: Command, options: impl Iterator<Item = &'static Declared>) -> Command {
    options.fold(command, |command, option| {
        let action = if option.repeatable { ArgAction::Append } else { ArgAction::Set };
        let help = format!("{} [default: {}]", option.help(), option.default_text().replace('`', ""));
        let arg = Arg::new(option.key).long(option.flag()).value_name(option.shape).action(action).help(help);
        command.arg(arg.long_help(format!(
            "{}. {}\n[default: {}] [env: {}{}]",
            option.help(),
            option.manual(),
            option.default_text(),
            option.variable(),
            if option.repeatable { ", with commas between" } else { "" },
        )))
    })
}

/// Key and values of each of these flags that was given.
pub(crate) fn given(
    matches: &ArgMatches,
    options: impl Iterator<Item = &'static Declared>,
) -> Vec<(&'static str, Vec<String>)> {
    let values = |key| Some((key, matches.get_many::<String>(key)?.cloned().collect()));
    options.filter_map(|option| values(option.key)).collect()
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        augment(command, options::all())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { given: given(matches, options::all()) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
