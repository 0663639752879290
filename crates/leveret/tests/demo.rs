//! The demonstration as a newcomer runs it.

use std::process::Command;

/// Exit code, standard output and standard error.
fn demo(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_leveret"))
        .arg("demo")
        .args(arguments)
        .output()
        .expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The row of the table that begins so, its numbers.
fn row(stdout: &str, name: &str) -> Vec<u64> {
    let row = stdout.lines().rfind(|line| line.trim_start().starts_with(name));
    let row = row.unwrap_or_else(|| panic!("no row {name}: {stdout}"));
    row.split_whitespace().filter_map(|cell| cell.parse().ok()).collect()
}

#[test]
fn it_ends_well_and_loses_nothing_that_was_promised() {
    let (code, stdout, stderr) = demo(&[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let [sent, confirmed, refused, delivered, redelivered, gone, lost] = row(&stdout, "all ")[..] else {
        panic!("{stdout}");
    };
    assert_eq!(sent, confirmed + refused, "each publish has an answer: {stdout}");
    // What was refused may have been delivered nevertheless.
    assert!(confirmed <= delivered + gone && delivered + gone <= sent, "{stdout}");
    assert!(redelivered >= 20, "what the killed consumer held: {stdout}");
    assert!(gone >= 100, "what the killed home held: {stdout}");
    assert_eq!(lost, 0, "{stdout}");
}

#[test]
fn a_message_that_is_dropped_on_purpose_is_found_out() {
    let (code, stdout, stderr) = demo(&["--drop-one"]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert_eq!(row(&stdout, "all ").last(), Some(&1), "{stdout}");
    assert!(stderr.contains("lost"), "{stderr}");
}
