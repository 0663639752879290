//! `leveret session`: lists and ends sessions of applications, over the admin socket of a node.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use leveret_model::limits::{SESSION_ADMIN_WAIT, STATUS_ANSWER_WAIT};
use serde::Deserialize;
use serde_json::json;

use crate::status::{ask, read, tame};
use crate::{config, output};

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List the sessions whose state a node holds; keys and values are never shown
    Ls(LsArgs),
    /// Show one session, by its key or its id in the list
    Show(TargetArgs),
    /// End one session on every node, by its key or its id in the list, or those of a user
    Kill(KillArgs),
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
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
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

#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Key, or 32 hexadecimal digits of the list
    #[arg(value_name = "KEY|HID", required_unless_present = "user", conflicts_with = "user")]
    target: Option<String>,
    /// All sessions of that user that the node holds, as `SESSION.COMMIT … USER` named it
    #[arg(long, value_name = "USER")]
    user: Option<String>,
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

/// A session as the node tells of it.
#[derive(Debug, Default, Deserialize, serde::Serialize)]
#[serde(default)]
struct Session {
    hid: String,
    vhost: String,
    database: u8,
    prefix: String,
    home: String,
    left_s: Option<u64>,
    bytes: u64,
    used: bool,
    user: Option<String>,
}

/// Does it.
pub(crate) fn run(command: &SessionCommand) -> anyhow::Result<()> {
    match command {
        SessionCommand::Ls(args) => list(args),
        SessionCommand::Show(args) => show(args),
        SessionCommand::Kill(args) => kill(args),
    }
}

fn held(data_dir: Option<&str>) -> anyhow::Result<Vec<Session>> {
    let data_dir = config::data_dir(data_dir, &config::environment())?;
    let mut document = read(&ask(&data_dir, "session ls", STATUS_ANSWER_WAIT)?)?;
    serde_json::from_value(document["sessions"].take()).context("the node's answer is no list of sessions")
}

fn list(args: &LsArgs) -> anyhow::Result<()> {
    let mut sessions = held(args.data_dir.as_deref())?;
    sessions.retain(|session| {
        args.prefix.as_ref().is_none_or(|prefix| session.prefix == *prefix)
            && args.node.as_ref().is_none_or(|node| session.home == *node)
    });
    let count = sessions.len();
    sessions.truncate(args.limit);
    if args.json {
        return output::print(&format!("{:#}\n", json!({ "count": count, "sessions": sessions })));
    }
    let mut text =
        format!("{:<32}  {:<16}  {:<16}  {:>8}  {:>8}\n", "id", "prefix", "home", "left s", "bytes");
    for Session { hid, prefix, home, left_s, bytes, .. } in &sessions {
        let left = left_s.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let (prefix, home) = (tame(prefix), tame(home));
        text.push_str(&format!("{hid:<32}  {prefix:<16}  {home:<16}  {left:>8}  {bytes:>8}\n"));
    }
    if count > sessions.len() {
        text.push_str(&format!("and {} more\n", count - sessions.len()));
    }
    output::print(&text)
}

fn show(args: &TargetArgs) -> anyhow::Result<()> {
    let wanted = leveret_server::session_id(&args.vhost, args.database, &args.target);
    let sessions = held(args.data_dir.as_deref())?;
    let found =
        sessions.iter().find(|session| session.hid == args.target || Some(&session.hid) == wanted.as_ref());
    let found = found.context("this node does not hold that session: it is gone, or another node has it")?;
    output::print(&format!("{:#}\n", json!(found)))
}

fn kill(args: &KillArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    if let Some(user) = &args.user {
        return kill_user(args, &data_dir, user);
    }
    let target = args.target.as_deref().unwrap_or_default();
    let is_hid = target.len() == 32 && target.bytes().all(|byte| byte.is_ascii_hexdigit());
    let by_key = json!({ "vhost": args.vhost, "database": args.database, "key": target });
    let mut killed = 0;
    // a key may look like an id: then it is tried as one only if nothing has that key
    for target in [Some(by_key), is_hid.then(|| json!({ "hid": target }))].into_iter().flatten() {
        let answer = read(&ask(&data_dir, &format!("session kill {target}"), SESSION_ADMIN_WAIT)?)?;
        killed = answer["killed"].as_u64().unwrap_or(0);
        if killed > 0 {
            break;
        }
    }
    anyhow::ensure!(killed > 0, "there is no such session");
    output::print("ended\n")
}

/// Every session of a user, one by one: each is as gone as after a logout.
fn kill_user(args: &KillArgs, data_dir: &std::path::Path, user: &str) -> anyhow::Result<()> {
    let sessions = held(args.data_dir.as_deref())?;
    let mut killed = 0;
    for session in sessions.iter().filter(|session| session.user.as_deref() == Some(user)) {
        let target = json!({ "hid": session.hid });
        let answer = read(&ask(data_dir, &format!("session kill {target}"), SESSION_ADMIN_WAIT)?)?;
        killed += answer["killed"].as_u64().unwrap_or(0);
    }
    anyhow::ensure!(killed > 0, "this node holds no session of that user: ask the other nodes too");
    output::print(&format!("ended {killed}\n"))
}
