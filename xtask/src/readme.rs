//! The README's list of what is not there, printed from the table that the broker itself asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use leveret_model::surface::{Feature, SURFACE, Status};

/// Around the list.
const BEGIN: &str = "<!-- missing: written by `cargo xtask gen` from crates/model/src/surface.rs -->";
const END: &str = "<!-- /missing -->";

/// The README with a current list.
pub(crate) fn rewrite(readme: &str) -> Result<String> {
    let (before, rest) =
        readme.split_once(BEGIN).context("README.md has lost the mark where the list begins")?;
    let (_, after) = rest.split_once(END).context("README.md has lost the mark where the list ends")?;
    Ok(format!("{before}{BEGIN}\n\n{}\n{END}{after}", render()))
}

fn render() -> String {
    let mut text =
        String::from("Answered with 540 (not implemented), which names the method, flag or argument:\n\n");
    list(&mut text, Status::Later);
    text.push_str("\nAccepted and without effect, by decision:\n\n");
    list(&mut text, Status::Ignored);
    text.push_str("\nRefused with 406, as RabbitMQ does for a classic queue:\n\n");
    list(&mut text, Status::Foreign);
    text
}

/// One line for each method: the method itself, or its flags and arguments.
fn list(text: &mut String, status: Status) {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in SURFACE.iter().filter(|entry| entry.status == status) {
        let note = if entry.note.is_empty() { String::new() } else { format!(" ({})", entry.note) };
        let item = match (entry.feature, entry.name.contains(' ')) {
            (Feature::Method, _) => format!("the method itself{note}"),
            // Some entries are described rather than named.
            (_, true) => format!("{}{note}", entry.name),
            (Feature::Property, _) => format!("property `{}`{note}", entry.name),
            (Feature::Header, _) => format!("header `{}`{note}", entry.name),
            (_, false) => format!("`{}`{note}", entry.name),
        };
        places.entry(entry.place).or_default().push(item);
    }
    for (place, items) in places {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- `{place}`: {}", items.join(", "));
    }
}
