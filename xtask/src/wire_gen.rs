//! `cargo xtask gen`: writes `crates/wire/src/method.rs` from `crates/wire/methods.txt`.
//!
//! Read first: the head of `methods.txt`, which explains its lines. With `check` nothing is written; a
//! checked-in file that differs from what would be written is an error. The result is what rustfmt makes of
//! it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

mod render;

use render::render;

/// From the root of the tree.
const DECLARATION: &str = "crates/wire/methods.txt";
/// From the root of the tree.
const GENERATED: &str = "crates/wire/src/method.rs";

/// Writes the generated files, or with `check` compares them with what is there.
///
/// # Errors
/// A mistake in the declaration (with its line), a missing rustfmt, or with `check` a file that is out of date.
pub fn run(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root")?;
    let declaration = std::fs::read_to_string(root.join(DECLARATION)).context(DECLARATION)?;
    let fresh = format(root, &render(&parse(&declaration)?)?)?;
    let path = root.join(GENERATED);
    if !check {
        return std::fs::write(&path, fresh).context(GENERATED);
    }
    let checked_in = std::fs::read_to_string(&path).context(GENERATED)?;
    ensure!(checked_in == fresh, "{GENERATED} is not what {DECLARATION} says: run `cargo xtask gen`");
    Ok(())
}

struct Method {
    class_name: String,
    class_id: u16,
    name: String,
    id: u16,
    sent_by: &'static str,
    content: bool,
    fields: Vec<Field>,
}

struct Field {
    /// Empty if reserved.
    name: String,
    kind: &'static Kind,
}

/// A field type.
struct Kind {
    /// In the declaration, and in the names of `Reader`'s methods and `codec`'s writers.
    word: &'static str,
    /// Of `FieldKind`.
    variant: &'static str,
    /// Of the struct's field.
    rust: &'static str,
    /// What a reserved one is written as.
    zero: &'static str,
    /// In words.
    doc: &'static str,
}

const KINDS: [Kind; 8] = [
    Kind { word: "bit", variant: "Bit", rust: "bool", zero: "", doc: "bit" },
    Kind { word: "octet", variant: "Octet", rust: "u8", zero: "0", doc: "unsigned 8 bit" },
    Kind { word: "short", variant: "Short", rust: "u16", zero: "0", doc: "unsigned 16 bit" },
    Kind { word: "long", variant: "Long", rust: "u32", zero: "0", doc: "unsigned 32 bit" },
    Kind { word: "longlong", variant: "LongLong", rust: "u64", zero: "0", doc: "unsigned 64 bit" },
    Kind { word: "shortstr", variant: "ShortString", rust: "&'a [u8]", zero: "b\"\"", doc: "short string" },
    Kind { word: "longstr", variant: "LongString", rust: "&'a [u8]", zero: "b\"\"", doc: "long string" },
    Kind {
        word: "table",
        variant: "Table",
        rust: "Table<'a>",
        zero: "Table::EMPTY",
        doc: "field table, not yet validated",
    },
];

impl Method {
    /// As in `basic.recover-async`.
    fn full_name(&self) -> String {
        format!("{}.{}", self.class_name, self.name)
    }

    /// As in `BasicRecoverAsync`.
    fn type_name(&self) -> String {
        let mut name = String::new();
        for word in self.class_name.split('-').chain(self.name.split('-')) {
            let (first, rest) = word.split_at(1);
            name.push_str(&first.to_uppercase());
            name.push_str(rest);
        }
        name
    }

    /// Fields of the struct.
    fn named(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.name.is_empty())
    }

    fn lifetime(&self) -> &'static str {
        if self.named().any(|field| field.kind.rust.contains("'a")) { "<'a>" } else { "" }
    }

    /// The same where nothing is named after it.
    fn elided(&self) -> &'static str {
        if self.lifetime().is_empty() { "" } else { "<'_>" }
    }
}

fn parse(declaration: &str) -> Result<Vec<Method>> {
    let mut methods: Vec<Method> = Vec::new();
    let mut class: Option<(String, u16)> = None;
    for (number, line) in declaration.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        let place = || format!("{DECLARATION}:{}", number + 1);
        if let Some(rest) = line.strip_prefix("class ") {
            let (name, id) = rest.split_once(' ').with_context(place)?;
            class = Some((name.to_owned(), id.trim().parse().with_context(place)?));
            continue;
        }
        let (class_name, class_id) =
            class.clone().with_context(place).context("a method before its class")?;
        let method = parse_method(line, class_name, class_id).with_context(place)?;
        if let Some(last) = methods.last() {
            let rising =
                (last.class_id, last.id) < (method.class_id, method.id) || last.class_id != method.class_id;
            ensure!(rising, "{}: methods of a class are listed by rising id", place());
        }
        methods.push(method);
    }
    Ok(methods)
}

fn parse_method(line: &str, class_name: String, class_id: u16) -> Result<Method> {
    let (head, fields) = line.split_once(':').context("no colon behind the head")?;
    let mut words: Vec<&str> = head.split_whitespace().collect();
    let content = words.contains(&"content");
    words.retain(|word| *word != "content");
    let [name, id, sent_by] = words[..] else { bail!("expected: <method> <id> <who> [content]:") };
    let sent_by = match sent_by {
        "client" => "Client",
        "server" => "Server",
        "both" => "Both",
        other => bail!("sent by {other}?"),
    };
    let fields = fields.split_whitespace().map(parse_field).collect::<Result<_>>()?;
    Ok(Method { class_name, class_id, name: name.to_owned(), id: id.parse()?, sent_by, content, fields })
}

fn parse_field(text: &str) -> Result<Field> {
    let (name, word) = text.split_once(':').with_context(|| format!("no type: {text}"))?;
    let kind =
        KINDS.iter().find(|kind| kind.word == word).with_context(|| format!("no such type: {word}"))?;
    Ok(Field { name: if name == "_" { String::new() } else { name.to_owned() }, kind })
}

pub(crate) fn format(root: &Path, source: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt")?;
    // smaller than a pipe's buffer or not: rustfmt reads all before it writes
    rustfmt.stdin.take().context("piped")?.write_all(source.as_bytes())?;
    let output = rustfmt.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt refused the generated source");
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::render::runs;
    use super::*;

    fn mistake(declaration: &str) -> String {
        format!("{:#}", parse(declaration).map(drop).expect_err("a mistake"))
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        assert!(mistake("class a 1\n  b 10 client: c:word\n").contains("methods.txt:2: no such type: word"));
        assert!(mistake("class a 1\n\n  b 10 nobody:\n").contains("methods.txt:3: sent by nobody?"));
        assert!(mistake("  b 10 client:\n").contains("a method before its class"));
        assert!(mistake("class a 1\n  b 20 client:\n  c 10 client:\n").contains("rising id"));
    }

    #[test]
    fn bits_side_by_side_share_an_octet_and_others_do_not() {
        let methods = parse("class a 1\n  b 10 both content: c:bit _:bit d:bit e:octet f:bit\n").unwrap();
        let lens: Vec<usize> = runs(&methods[0].fields).map(<[Field]>::len).collect();
        assert_eq!(lens, [3, 1, 1]);
        assert!(methods[0].content);
        let source = render(&methods).unwrap();
        assert!(source.contains("u8::from(self.c) | u8::from(self.d) << 2"));
        assert!(source.contains("let d = bits & 4 != 0;"));
    }
}
