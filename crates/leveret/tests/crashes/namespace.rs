//! A mount namespace for a test: what it mounts is seen by its own nodes only, and is gone with the last of
//! them, however they end.
//!
//! A process with threads cannot make a user namespace, so the test runs itself once more by `unshare`.

use std::path::Path;
use std::process::Command;

use super::disk::LossyDisk;

/// Set for the run inside.
const INSIDE: &str = "CRASHES_INSIDE";

/// True inside. Outside it runs that test inside and fails if it fails there; without the rights it says so.
pub(crate) fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !Path::new("/dev/fuse").exists() {
        not_run("there is no /dev/fuse");
        return false;
    }
    let unshare = ["--mount", "--map-root-user", "--fork", "--kill-child"];
    let may = Command::new("unshare").args(unshare).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        not_run("no mount namespace may be made here");
        return false;
    }
    let program = std::env::current_exe().expect("a program");
    let mut command = Command::new("unshare");
    command.args(unshare).arg(program).args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    let output = command.env(INSIDE, "1").output().expect("it runs");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    // without the inner harness's own verdict, which would be counted as another test
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("test ")).collect();
    eprintln!("{}", lines.join("\n"));
    assert!(output.status.success(), "it failed inside the namespace, see above");
    false
}

/// A new disk; nothing if that may not be here.
pub(crate) fn mounted() -> Option<LossyDisk> {
    match LossyDisk::mount() {
        Ok(disk) => Some(disk),
        Err(error) => {
            not_run(&error.to_string());
            None
        }
    }
}

/// A soak that does not run proves nothing.
fn not_run(why: &str) {
    assert!(super::number_of("CRASHES").is_none(), "power cut: not run, because {why}");
    eprintln!("power cut: not run, because {why}");
}
