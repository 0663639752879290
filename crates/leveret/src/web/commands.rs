//! How `http` stands among the scenarios of `bench`, and `web` beside the flags of `demo`.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use leveret_bench::{BenchArgs, SessionsArgs as SessionsBench};

use super::bench::HttpArgs;
use super::demo::WebArgs;
use crate::demo::elastic::ElasticArgs;
use crate::demo::failure::FailureArgs;
use crate::demo::sessions::SessionsArgs;

/// `leveret bench`.
#[derive(Debug)]
pub(crate) enum BenchCommand {
    /// `http`.
    Http(HttpArgs),
    /// `sessions`.
    Sessions(SessionsBench),
    /// Any scenario for a broker.
    Broker(Box<BenchArgs>),
}

/// `leveret demo`.
#[derive(Debug)]
pub(crate) enum DemoCommand {
    /// `web`.
    Web(WebArgs),
    /// `sessions`.
    Sessions(SessionsArgs),
    /// `failure`: a node is killed.
    Failure(FailureArgs),
    /// Nodes come and go.
    Elastic(ElasticArgs),
}

impl Args for BenchCommand {
    fn augment_args(command: Command) -> Command {
        let http = HttpArgs::augment_args(Command::new("http"));
        let about = "Measures servers of sessions that speak Redis's protocol, side by side";
        let sessions = SessionsBench::augment_args(Command::new("sessions")).about(about);
        BenchArgs::augment_args(command).subcommand(http).subcommand(sessions)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BenchCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("http", http)) => HttpArgs::from_arg_matches(http).map(Self::Http),
            Some(("sessions", sessions)) => SessionsBench::from_arg_matches(sessions).map(Self::Sessions),
            _ => BenchArgs::from_arg_matches(matches).map(|args| Self::Broker(Box::new(args))),
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
        let about = "Shows browsers without sticky sessions on three nodes, while one is killed, one joins and one leaves";
        let sessions = SessionsArgs::augment_args(Command::new("sessions")).about(about);
        let failure = FailureArgs::augment_args(Command::new("failure"))
            .about("Three nodes, one of which is killed: what is lost and what is not");
        ElasticArgs::augment_args(command)
            .subcommand(web)
            .subcommand(sessions)
            .subcommand(failure)
            .args_conflicts_with_subcommands(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DemoCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("web", web)) => WebArgs::from_arg_matches(web).map(Self::Web),
            Some(("sessions", sessions)) => SessionsArgs::from_arg_matches(sessions).map(Self::Sessions),
            Some((_, failure)) => FailureArgs::from_arg_matches(failure).map(Self::Failure),
            None => ElasticArgs::from_arg_matches(matches).map(Self::Elastic),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
