//! The table as command-line flags.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::options;

/// Flags of `leveret serve` as texts; [`super::load`] gives them their meaning, together with the other
/// sources.
#[derive(Debug, Default)]
pub(crate) struct ServeArgs {
    /// Key and values of each flag that was given.
    pub(crate) given: Vec<(&'static str, Vec<String>)>,
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        options::all().fold(command, |command, option| {
            let action = if option.repeatable { ArgAction::Append } else { ArgAction::Set };
            let help = format!("{} [default: {}]", option.help(), option.default_text().replace('`', ""));
            let arg =
                Arg::new(option.key).long(option.flag()).value_name(option.shape).action(action).help(help);
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

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = |key| Some((key, matches.get_many::<String>(key)?.cloned().collect()));
        Ok(Self { given: options::all().filter_map(|option| values(option.key)).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
