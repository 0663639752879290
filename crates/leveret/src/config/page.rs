//! The table as a page for people: `docs/configuration.md`.

use super::options;

/// The page, complete.
pub(crate) fn render() -> String {
    let mut page = String::from(
        "# Configuration of `leveret serve`\n\n\
         <!-- Written by `cargo xtask gen` from crates/leveret/src/config/options.rs; do not edit. -->\n\n\
         Every option can be given as a flag, as an environment variable, and as a key of the TOML file that `--config`\n\
         names. A flag wins over the environment, the environment over the file, the file over the default; a list\n\
         replaces a list. An empty variable counts as not set. An unknown flag or key and a wrong value end the start\n\
         with exit code 2 and one line that says where it stands and what was expected.\n\n\
         | flag | variable | TOML key | default |\n|---|---|---|---|\n",
    );
    for option in options::all() {
        let key = if option.in_file { format!("`{}`", option.key) } else { "–".to_owned() };
        page.push_str(&format!(
            "| [`--{0}`](#{0}) `{1}` | `{2}` | {key} | {3} |\n",
            option.flag(),
            option.shape,
            option.variable(),
            option.default_text(),
        ));
    }
    for option in options::all() {
        page.push_str(&format!("\n## {}\n\n{}.\n{}\n", option.flag(), option.help(), option.manual()));
        if option.repeatable {
            page.push_str(&format!(
                "\nAs a flag: once for each. In the environment: with commas between. In the file: a list,\n\
                 `{0} = [\"{1}\", \"{1}\"]`.\n",
                option.key, option.shape
            ));
        }
    }
    page
}
