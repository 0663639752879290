//! `leveret session`: lists and ends sessions of applications, over the admin socket of any node.

mod end;
mod survey;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use self::end::EndArgs;
use self::survey::{Selection, Session, survey};
use crate::status::tame;
use crate::{config, output};

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List the sessions of the cluster; keys and values are never shown
    Ls(LsArgs),
    /// Show one session, by its key or its id in the list
    Show(ShowArgs),
    /// End one session on every node, by its key or its id in the list, or those of a user or prefix
    Kill(EndArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Data directory of the node to ask
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Only keys that begin so, up to their first colon
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Only sessions whose home is the node of that name
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Only sessions of that user, as `SESSION.COMMIT … USER` named it
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only sessions that nobody has used for so long, such as 1h
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    idle: Option<Duration>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Key, or 32 hexadecimal digits of the list
    #[arg(value_name = "KEY|HID")]
    target: String,
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

/// Does it.
pub(crate) fn run(command: &SessionCommand) -> anyhow::Result<()> {
    match command {
        SessionCommand::Ls(args) => list(args),
        SessionCommand::Show(args) => show(args),
        SessionCommand::Kill(args) => end::run(args),
    }
}

fn list(args: &LsArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    let selection = Selection {
        prefix: args.prefix.as_deref(),
        user: args.user.as_deref(),
        idle_s: args.idle.map(|idle| idle.as_secs()),
        ..Selection::default()
    };
    // the homes are known by name only once the rows are here
    let rows = if args.node.is_some() { usize::MAX } else { args.limit };
    let mut found = survey(&data_dir, "ls", &selection, rows)?;
    let mut count = found.found;
    if let Some(node) = &args.node {
        found.sessions.retain(|session| session.home == *node);
        count = found.sessions.len() as u64;
    }
    found.sessions.truncate(args.limit);
    let (sessions, silent) = (&found.sessions, &found.silent);
    if args.json {
        let document = json!({ "count": count, "sessions": sessions, "silent": silent });
        output::print(&format!("{document:#}\n"))?;
    } else {
        output::print(&table(sessions, count))?;
    }
    found.fail_if_silent("has sessions that are not listed")
}

fn table(sessions: &[Session], count: u64) -> String {
    let mut text = format!(
        "{:<32}  {:<16}  {:<16}  {:>8}  {:>8}  {:>8}\n",
        "id", "prefix", "home", "left s", "idle s", "bytes"
    );
    for Session { hid, prefix, home, left_s, idle_s, bytes, .. } in sessions {
        let left = left_s.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let (prefix, home) = (tame(prefix), tame(home));
        text.push_str(&format!("{hid:<32}  {prefix:<16}  {home:<16}  {left:>8}  {idle_s:>8}  {bytes:>8}\n"));
    }
    let shown = sessions.len() as u64;
    if count > shown {
        text.push_str(&format!("and {} more\n", count - shown));
    }
    text
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    let by_key = leveret_server::session_id(&args.vhost, args.database, &args.target);
    let by_hid = survey::is_hid(&args.target).then(|| args.target.clone());
    // a key may look like an id: then it is tried as one only if nothing has that key
    let mut silent = None;
    for hid in [by_key, by_hid].into_iter().flatten() {
        let selection = Selection { hid: Some(&hid), ..Selection::default() };
        let found = survey(&data_dir, "ls", &selection, 1)?;
        if let Some(session) = found.sessions.first() {
            return output::print(&format!("{:#}\n", json!(session)));
        }
        silent = found.fail_if_silent("has that session").err();
    }
    Err(silent.unwrap_or_else(|| anyhow::anyhow!("there is no such session")))
}
