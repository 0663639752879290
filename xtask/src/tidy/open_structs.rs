//! Structs whose many fields other files can touch: whoever reads one of those files must know them all.
//!
//! A field is open to other files by its visibility, or because files below the struct's module see what is
//! private in it.

use anyhow::Result;

use super::ratchet::{self, Measure, Measures};
use super::tree::{Problem, Tree};
use crate::source::{Source, item_end, line_of, product_only, words};

/// Open fields of a struct that are fine.
const FIELDS_MAX: usize = 16;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    ratchet::compare(tree, "struct", &measure(tree))
}

/// `struct PATH NAME`, in open fields.
pub(super) fn measure(tree: &Tree<'_>) -> Measures {
    let mut open = Measures::new();
    let product = tree.rust().filter(|source| source.room().is_some() && source.path.contains("/src/"));
    for source in product.filter(|source| !source.is_generated() && !source.is_test()) {
        let below = has_files_below(tree, source);
        for Struct { name, line, fields, private } in structs(&product_only(&source.text)) {
            let number = if below { fields } else { fields - private };
            if number > FIELDS_MAX {
                let advice = "fields that other files can touch: divide it into machines that keep their own";
                let measure = Measure { path: source.path.clone(), line, number, advice: advice.to_owned() };
                open.insert(format!("struct {} {name}", source.path), measure);
            }
        }
    }
    open
}

/// Whether product files lie below this one's module.
fn has_files_below(tree: &Tree<'_>, source: &Source) -> bool {
    let directory = match source.path.rsplit_once('/') {
        Some((directory, "mod.rs" | "lib.rs" | "main.rs")) => format!("{directory}/"),
        _ => format!("{}/", source.path.trim_end_matches(".rs")),
    };
    tree.rust()
        .any(|other| other.path.starts_with(&directory) && other.path != source.path && !other.is_test())
}

struct Struct {
    name: String,
    line: usize,
    fields: usize,
    private: usize,
}

/// Structs with named fields.
fn structs(code: &str) -> Vec<Struct> {
    let mut found = Vec::new();
    for start in words(code, "struct") {
        let behind = code[start + "struct".len()..].trim_start();
        let name: String = behind.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = item_end(code, start);
        let Some(open) = code[start..end].find('{') else { continue };
        let (mut fields, mut private) = (0, 0);
        for field in top_level_parts(&code[start + open + 1..end - 1]) {
            let field = without_attributes(field.trim());
            if !field.is_empty() {
                fields += 1;
                private += usize::from(!field.starts_with("pub"));
            }
        }
        found.push(Struct { name, line: line_of(code, start), fields, private });
    }
    found
}

/// What stands between commas that no bracket holds.
fn top_level_parts(body: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from, mut before) = (Vec::new(), 0_i32, 0, ' ');
    for (at, character) in body.char_indices() {
        match character {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if before == '-' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&body[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        before = character;
    }
    parts.push(&body[from..]);
    parts
}

fn without_attributes(mut field: &str) -> &str {
    while field.starts_with('#') {
        let (mut depth, mut end) = (0, field.len());
        for (at, character) in field.char_indices() {
            match character {
                '[' => depth += 1,
                ']' if depth == 1 => {
                    end = at + 1;
                    break;
                }
                ']' => depth -= 1,
                _ => {}
            }
        }
        field = field[end..].trim_start();
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    fn fields(visibility: &str, number: usize) -> String {
        (0..number)
            .map(|at| format!("    #[x(a, b)]\n    {visibility} f{at}: Map<u8, fn(u8) -> u8>,\n"))
            .collect()
    }

    #[test]
    fn private_fields_count_only_if_files_lie_below() {
        let text = format!("struct Wide {{\n{}{}}}\n", fields("pub(crate)", 10), fields("", 7));
        let alone = [("crates/a/src/one.rs", text.as_str())];
        assert_eq!(measure(&tree_of(&alone)).len(), 0);
        let parent = [alone[0], ("crates/a/src/one/two.rs", "")];
        let found = measure(&tree_of(&parent));
        assert_eq!(found["struct crates/a/src/one.rs Wide"].number, 17);
        let tested = [alone[0], ("crates/a/src/one/tests.rs", "")];
        assert_eq!(measure(&tree_of(&tested)).len(), 0);
    }

    #[test]
    fn many_open_fields_are_found_whatever_else_is_private() {
        let text =
            format!("pub struct Wide {{\n{}{}}}\nstruct Tuple(u8);\n", fields("pub", 17), fields("", 3));
        let found = measure(&tree_of(&[("crates/a/src/one.rs", &text)]));
        assert_eq!(found["struct crates/a/src/one.rs Wide"].number, 17);
        assert_eq!(found.len(), 1);
    }
}
