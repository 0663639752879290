//! How `http` stands among the scenarios of `bench`, and `web` beside the flags of `demo`.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use leveret_bench::BenchArgs;

use super::bench::HttpArgs;
use super::demo::WebArgs;
use crate::demo::DemoArgs;

/// `leveret bench`.
#[derive(Debug)]
pub(crate) enum BenchCommand {
    /// `http`.
    Http(HttpArgs),
    /// Any scenario for a broker.
    Broker(Box<BenchArgs>),
}

/// `leveret demo`.
#[derive(Debug)]
pub(crate) enum DemoCommand {
    /// `web`.
    Web(WebArgs),
    /// Of the broker.
    Broker(DemoArgs),
}

impl Args for BenchCommand {
    fn augment_args(command: Command) -> Command {
        let http = HttpArgs::augment_args(Command::new("http"));
        BenchArgs::augment_args(command).subcommand(http)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BenchCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_matches("http") {
            Some(http) => HttpArgs::from_arg_matches(http).map(Self::Http),
            None => BenchArgs::from_arg_matches(matches).map(|args| Self::Broker(Box::new(args))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DemoCommand {
    fn augment_args(command: Command) -> Command {
        let web = WebArgs::augment_args(Command::new("web"));
        DemoArgs::augment_args(command).subcommand(web).args_conflicts_with_subcommands(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DemoCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_matches("web") {
            Some(web) => WebArgs::from_arg_matches(web).map(Self::Web),
            None => DemoArgs::from_arg_matches(matches).map(Self::Broker),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
