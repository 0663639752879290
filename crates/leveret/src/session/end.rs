//! `leveret session kill`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::ensure;
use clap::Args;
use leveret_model::limits::SESSION_ADMIN_WAIT;
use serde_json::json;

use super::survey::{Found, Selection, is_hid, survey};
use crate::status::{ask, read};
use crate::{config, output};

#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    /// Key, or 32 hexadecimal digits of the list
    #[arg(
        value_name = "KEY|HID",
        required_unless_present_any = ["user", "prefix", "all"],
        conflicts_with_all = ["user", "prefix", "all"]
    )]
    target: Option<String>,
    /// All sessions of that user, as `SESSION.COMMIT … USER` named it
    #[arg(long, value_name = "USER", conflicts_with_all = ["prefix", "all"])]
    user: Option<String>,
    /// All sessions whose keys begin so, up to their first colon
    #[arg(long, value_name = "PREFIX", conflicts_with = "all")]
    prefix: Option<String>,
    /// All sessions
    #[arg(long)]
    all: bool,
    /// Do not ask before many sessions are ended
    #[arg(long)]
    yes: bool,
    /// Data directory of the node to ask
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Vhost of the key
    #[arg(long, value_name = "VHOST", default_value = "/")]
    vhost: String,
    /// Database of the key
    #[arg(long, value_name = "N", default_value_t = 0)]
    database: u8,
}

pub(super) fn run(args: &EndArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    match &args.target {
        Some(target) => end_one(args, &data_dir, target),
        None => end_selected(args, &data_dir),
    }
}

fn end_one(args: &EndArgs, data_dir: &Path, target: &str) -> anyhow::Result<()> {
    let by_key = json!({ "vhost": args.vhost, "database": args.database, "key": target });
    let answer = read(&ask(data_dir, &format!("session kill {by_key}"), SESSION_ADMIN_WAIT)?)?;
    let mut ended = answer["killed"].as_u64().unwrap_or(0);
    // a key may look like an id: then it is tried as one only if nothing has that key
    if ended == 0 && is_hid(target) {
        let selection = Selection { hid: Some(target), ..Selection::default() };
        let found = survey(data_dir, "end", &selection, 0)?;
        ended = found.ended;
        if ended == 0 {
            check(&found)?;
        }
    }
    ensure!(ended > 0, "there is no such session");
    output::print("ended\n")
}

/// Each is as gone as after a logout.
fn end_selected(args: &EndArgs, data_dir: &Path) -> anyhow::Result<()> {
    let selection =
        Selection { user: args.user.as_deref(), prefix: args.prefix.as_deref(), ..Selection::default() };
    if args.user.is_none() && !args.yes {
        confirm(args, survey(data_dir, "ls", &selection, 0)?.found)?;
    }
    let found = survey(data_dir, "end", &selection, 0)?;
    output::print(&format!("ended {}\n", found.ended))?;
    check(&found)?;
    let what = if args.user.is_some() { "of that user" } else { "like that" };
    ensure!(found.ended > 0, "there is no session {what}");
    Ok(())
}

/// Whatever may be left is an error.
fn check(found: &Found) -> anyhow::Result<()> {
    found.fail_if_silent("has such sessions")?;
    let failed = found.failed;
    ensure!(failed == 0, "{failed} times nobody could say in time that a session is ended: try again");
    Ok(())
}

fn confirm(args: &EndArgs, count: u64) -> anyhow::Result<()> {
    let of = args.prefix.as_ref().map_or_else(String::new, |prefix| format!(" of prefix '{prefix}'"));
    ensure!(std::io::stdin().is_terminal(), "this ends {count} sessions{of} on every node: say --yes");
    output::print(&format!("End {count} sessions{of} on every node? Their users are logged out. [y/N] "))?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    ensure!(matches!(line.trim(), "y" | "Y" | "yes"), "nothing was ended");
    Ok(())
}
