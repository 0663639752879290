//! The command line: which commands there are, and how their errors look (one line on standard error).

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use leveret_bench as bench;

use crate::config::{self, ConfigError, ServeArgs};
use crate::output::print;
use crate::{demo, door, forget, leave, policy, queue, rebalance, run, serve, session, status, store, web};

/// An elastic AMQP 0-9-1 broker: start one more and it joins, stop one and the others go on.
#[derive(Debug, Parser)]
#[command(name = "leveret", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(ServeArgs),
    /// Show nodes, queues and connections of a running node
    Status(status::StatusArgs),
    /// Hand all queues of a running node to other nodes, and stop it
    Leave(leave::LeaveArgs),
    /// Give queues of a running node to nodes that have fewer, now
    Rebalance(rebalance::RebalanceArgs),
    /// Make the cluster forget a node that is down for good
    Forget(forget::ForgetArgs),
    /// List queues, and explain the settings of one
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Set, clear and list policies: settings for all queues and exchanges of a pattern
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// List and end sessions of applications
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Check or export what a node has on its disk, without a running node
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Measure this or any other AMQP 0-9-1 broker, or an HTTP server
    Bench(web::BenchCommand),
    /// See a small cluster at work: nodes come and go, and every message is counted
    Demo(web::DemoCommand),
    /// Run a front door: an HTTP proxy that follows the application servers
    Door(Box<door::DoorArgs>),
    /// Run an application server, announce it to the doors, and stop it without losing a request
    Run(Box<run::RunArgs>),
    /// Announce an application server that something else started
    Announce(Box<run::AnnounceArgs>),
    /// Serve as a toy application of `demo web`
    #[command(hide = true)]
    ToyWeb(web::ToyArgs),
    /// Become the command of `run`, and end with it
    #[command(hide = true)]
    RunChild {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Print docs/configuration.md
    #[command(hide = true)]
    PrintConfigDocs,
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&words) {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error, &words),
    };
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Leave(args) => leave::run(&args),
        Command::Rebalance(args) => rebalance::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Forget(args) => forget::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Queue(command) => queue::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Policy(command) => policy::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Session(command) => session::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Store(command) => store::run(&command),
        Command::Bench(web::BenchCommand::Http(args)) => web::bench(&args),
        Command::Bench(web::BenchCommand::Sessions(args)) => leveret_bench::run_sessions(&args),
        Command::Bench(web::BenchCommand::Broker(args)) => bench::run(*args),
        Command::Demo(web::DemoCommand::Web(args)) => web::demo(&args),
        Command::Demo(web::DemoCommand::Sessions(args)) => demo::sessions::run(&args),
        Command::Demo(web::DemoCommand::Failure(args)) => demo::failure::run(&args),
        Command::Demo(web::DemoCommand::Elastic(args)) => demo::elastic::run(&args),
        Command::Door(args) => door::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Announce(args) => run::announce(&args),
        Command::ToyWeb(args) => web::toy(&args),
        Command::RunChild { command } => run::exec(&command),
        Command::PrintConfigDocs => print(&config::render_page()).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("leveret: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(words)?;
    let scenario = matches.subcommand_matches("bench").and_then(ArgMatches::subcommand);
    match scenario.and_then(|(_, scenario)| bench::given_in_vain(scenario)) {
        Some(what) => Err(Cli::command().error(ErrorKind::ArgumentConflict, what)),
        None => Cli::from_arg_matches(&matches),
    }
}

fn report_usage(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // Help that nobody reads to its end is no failure.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    eprintln!("leveret: {}", usage_line(error, words));
    ExitCode::from(2)
}

/// What clap says over several lines, in one.
fn usage_line(error: &clap::Error, words: &[OsString]) -> String {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut line = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    for tip in
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
    {
        line.push_str("; ");
        line.push_str(tip.strip_prefix("tip: ").unwrap_or(tip));
    }
    format!("{line}; `{}` lists what there is", help_for(words))
}

/// The help that fits: of the innermost command that these words name.
fn help_for(words: &[OsString]) -> String {
    let (mut command, mut help) = (Cli::command(), "leveret".to_owned());
    for word in words.iter().skip(1) {
        let Some(inner) = command.find_subcommand(word) else { break };
        help.push(' ');
        help.push_str(inner.get_name());
        command = inner.clone();
    }
    help + " --help"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(arguments: &[&str]) -> String {
        let words: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        usage_line(&parse(&words).expect_err("this command line is wrong"), &words)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_unknown_option_is_named_in_one_line() {
        let line = usage(&["leveret", "serve", "--lisen", "127.0.0.1:1"]);
        assert!(line.contains("--lisen") && line.contains("--listen") && !line.contains('\n'), "{line}");
        assert!(line.ends_with("; `leveret serve --help` lists what there is"), "{line}");
    }

    #[test]
    fn an_unknown_command_is_named_in_one_line() {
        let line = usage(&["leveret", "sevre"]);
        assert!(line.contains("sevre") && line.contains("serve") && !line.contains('\n'), "{line}");
        assert!(line.ends_with("; `leveret --help` lists what there is"), "{line}");
    }

    #[test]
    fn an_option_without_its_value_is_named_in_one_line() {
        let line = usage(&["leveret", "serve", "--listen"]);
        assert!(line.contains("--listen") && !line.contains('\n'), "{line}");
        assert!(line.ends_with("; `leveret serve --help` lists what there is"), "{line}");
    }

    #[test]
    fn an_option_of_bench_that_would_do_nothing_is_refused() {
        for flag in ["--prefetch", "--in-flight", "--ack-every"] {
            let line = usage(&["leveret", "bench", "throughput", flag, "5"]);
            assert!(
                line.starts_with(flag) && line.contains("--ack confirm") && !line.contains('\n'),
                "{line}"
            );
            let confirmed = ["leveret", "bench", "throughput", flag, "5", "--ack", "confirm"];
            assert!(parse(&confirmed.map(OsString::from)).is_ok());
        }
        assert!(parse(&["leveret", "bench", "churn"].map(OsString::from)).is_ok());
    }

    #[test]
    fn a_bad_value_points_to_the_help_of_the_innermost_command() {
        let line = usage(&["leveret", "bench", "throughput", "--url", "http://x"]);
        assert!(line.contains("http://x") && line.contains("amqp://") && !line.contains('\n'), "{line}");
        assert!(line.ends_with("; `leveret bench throughput --help` lists what there is"), "{line}");
        let line = usage(&["leveret", "bench", "--url", "throughput"]);
        assert!(line.ends_with("; `leveret bench --help` lists what there is"), "{line}");
    }
}
