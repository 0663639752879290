//! Tables for a terminal. Their cells may be names that somebody else chose.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A table under a title; the title alone without rows.
pub(super) fn section<T>(
    title: &str,
    columns: &[&str],
    right: &[usize],
    rows: &[T],
    row: impl Fn(&T) -> Vec<String>,
) -> String {
    let mut text = format!("\n{title}\n");
    if !rows.is_empty() {
        text.push_str(&table(columns, right, rows, row));
    }
    text
}

/// Rows under a heading. Every cell may be somebody else's text.
pub(crate) fn table<T>(
    columns: &[&str],
    right: &[usize],
    rows: &[T],
    row: impl Fn(&T) -> Vec<String>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns);
    table.add_rows(rows.iter().map(|one| row(one).iter().map(|cell| tame(cell)).collect::<Vec<_>>()));
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// A text of somebody else's for a terminal: what is no letter there, but moves its cursor, ends a line or
/// turns its direction around, is spelt out.
pub(crate) fn tame(text: &str) -> String {
    let wild = |c: char| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
    };
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        if wild(c) { tamed.extend(c.escape_debug()) } else { tamed.push(c) }
    }
    tamed
}
