//! The source of `crates/wire/src/method.rs`, before rustfmt.

use std::fmt::Write as _;

use anyhow::Result;

use super::{Field, Method};

pub(super) fn render(methods: &[Method]) -> Result<String> {
    let mut out = HEAD.to_owned();
    render_enum(&mut out, methods)?;
    render_table(&mut out, methods)?;
    for method in methods {
        render_struct(&mut out, method)?;
    }
    Ok(out)
}

fn render_enum(out: &mut String, methods: &[Method]) -> Result<()> {
    out.push_str("\n/// Any method.\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub enum Method<'a> {\n");
    for m in methods {
        let name = m.type_name();
        writeln!(out, "/// `{}`\n{name}({name}{}),", m.full_name(), m.lifetime())?;
    }
    out.push_str("}\n\nimpl<'a> Method<'a> {\n");
    out.push_str(
        "/// Reads the payload of a method frame.\n///\n/// # Errors\n\
         /// No such method, or its fields end too early or bytes are left over.\n\
         pub fn decode(payload: &'a [u8]) -> Result<Self, MethodError> {\n\
         let mut reader = Reader::new(payload);\n\
         let (Some(class), Some(method)) = (reader.short(), reader.short()) else {\n\
         return Err(MethodError::Malformed { class: 0, method: 0 });\n};\n\
         let decoded = match (class, method) {\n",
    );
    for m in methods {
        let name = m.type_name();
        if m.fields.is_empty() {
            writeln!(out, "({}, {}) => Some(Self::{name}({name})),", m.class_id, m.id)?;
        } else {
            writeln!(out, "({}, {}) => {name}::decode(&mut reader).map(Self::{name}),", m.class_id, m.id)?;
        }
    }
    out.push_str(
        "_ => return Err(MethodError::Unknown { class, method }),\n};\n\
         decoded.filter(|_| reader.is_empty()).ok_or(MethodError::Malformed { class, method })\n}\n\n\
         /// Its row in [`METHODS`].\n#[must_use]\n\
         pub const fn info(&self) -> &'static MethodInfo {\n\
         match self {\n",
    );
    for (row, m) in methods.iter().enumerate() {
        writeln!(out, "Self::{}(_) => &METHODS[{row}],", m.type_name())?;
    }
    out.push_str(
        "}\n}\n\n/// Appends the payload of a method frame: class, method, fields.\n\
         pub fn encode_payload(&self, out: &mut Vec<u8>) {\nmatch self {\n",
    );
    for m in methods {
        writeln!(out, "Self::{}(method) => method.encode_payload(out),", m.type_name())?;
    }
    out.push_str("}\n}\n");
    out.push_str(REST);
    Ok(())
}

fn render_table(out: &mut String, methods: &[Method]) -> Result<()> {
    out.push_str(
        "\n/// All methods, by class as in the declaration.\npub const METHODS: &[MethodInfo] = &[\n",
    );
    for m in methods {
        writeln!(
            out,
            "MethodInfo {{ class_id: {}, method_id: {}, name: \"{}\", sent_by: SentBy::{}, content: {}, \
             fields: &[",
            m.class_id,
            m.id,
            m.full_name(),
            m.sent_by,
            m.content
        )?;
        for field in &m.fields {
            write!(out, "field(\"{}\", FieldKind::{}),", field.name, field.kind.variant)?;
        }
        out.push_str("]},\n");
    }
    out.push_str("];\n");
    Ok(())
}

fn render_struct(out: &mut String, m: &Method) -> Result<()> {
    let (name, life, elided) = (m.type_name(), m.lifetime(), m.elided());
    let sender = match m.sent_by {
        "Client" => "the client",
        "Server" => "the server",
        _ => "either side",
    };
    let content = if m.content { ", content follows" } else { "" };
    writeln!(out, "\n/// `{}` ({}, {}): sent by {sender}{content}.", m.full_name(), m.class_id, m.id)?;
    out.push_str("#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]\n");
    if m.named().next().is_none() {
        writeln!(out, "pub struct {name};\n")?;
    } else {
        writeln!(out, "pub struct {name}{life} {{")?;
        for field in m.named() {
            writeln!(
                out,
                "/// `{}`: {}.\npub {}: {},",
                field.name, field.kind.doc, field.name, field.kind.rust
            )?;
        }
        out.push_str("}\n\n");
    }
    if !m.fields.is_empty() {
        render_decode(out, m)?;
    }
    writeln!(out, "impl EncodeMethod for {name}{elided} {{")?;
    writeln!(out, "const CLASS_ID: u16 = {};\nconst METHOD_ID: u16 = {};\n", m.class_id, m.id)?;
    render_encode(out, m)?;
    writeln!(out, "}}\n\nimpl<'a> From<{name}{life}> for Method<'a> {{")?;
    writeln!(out, "fn from(method: {name}{life}) -> Self {{\nSelf::{name}(method)\n}}\n}}")?;
    Ok(())
}

fn render_decode(out: &mut String, m: &Method) -> Result<()> {
    let (name, life) = (m.type_name(), m.lifetime());
    let reader = if life.is_empty() { "Reader<'_>" } else { "Reader<'a>" };
    writeln!(out, "impl{life} {name}{life} {{\nfn decode(reader: &mut {reader}) -> Option<Self> {{")?;
    for run in runs(&m.fields) {
        match run {
            [field] if field.kind.word != "bit" && field.name.is_empty() => {
                writeln!(out, "reader.{}()?;", field.kind.word)?;
            }
            [field] if field.kind.word != "bit" => {
                writeln!(out, "let {} = reader.{}()?;", field.name, field.kind.word)?;
            }
            bits if bits.iter().all(|bit| bit.name.is_empty()) => out.push_str("reader.octet()?;\n"),
            bits => {
                out.push_str("let bits = reader.octet()?;\n");
                for (index, bit) in bits.iter().enumerate().filter(|(_, bit)| !bit.name.is_empty()) {
                    writeln!(out, "let {} = bits & {} != 0;", bit.name, 1 << index)?;
                }
            }
        }
    }
    let names: Vec<&str> = m.named().map(|field| &field.name[..]).collect();
    if names.is_empty() {
        out.push_str("Some(Self)\n}\n}\n\n");
    } else {
        writeln!(out, "Some(Self {{ {} }})\n}}\n}}\n", names.join(", "))?;
    }
    Ok(())
}

fn render_encode(out: &mut String, m: &Method) -> Result<()> {
    if m.fields.is_empty() {
        out.push_str("fn encode_fields(&self, _: &mut Vec<u8>) {}\n");
        return Ok(());
    }
    out.push_str("fn encode_fields(&self, out: &mut Vec<u8>) {\n");
    for run in runs(&m.fields) {
        match run {
            [field] if field.kind.word != "bit" => {
                let value = if field.name.is_empty() {
                    field.kind.zero.to_owned()
                } else {
                    format!("self.{}", field.name)
                };
                writeln!(out, "put_{}(out, {value});", field.kind.word)?;
            }
            bits => {
                let named = bits.iter().enumerate().filter(|(_, bit)| !bit.name.is_empty());
                let terms: Vec<String> = named
                    .map(|(index, bit)| match index {
                        0 => format!("u8::from(self.{})", bit.name),
                        _ => format!("u8::from(self.{}) << {index}", bit.name),
                    })
                    .collect();
                let value = if terms.is_empty() { "0".to_owned() } else { terms.join(" | ") };
                writeln!(out, "put_octet(out, {value});")?;
            }
        }
    }
    out.push_str("}\n");
    Ok(())
}

/// The fields as the octets have them: bits side by side together (at most eight), all others alone.
pub(super) fn runs(fields: &[Field]) -> impl Iterator<Item = &[Field]> {
    fields
        .chunk_by(|a, b| a.kind.word == "bit" && b.kind.word == "bit")
        .inspect(|run| assert!(run.len() <= 8))
}

const HEAD: &str = r"// Generated by `cargo xtask gen` from crates/wire/methods.txt; do not edit.
//! The methods of AMQP 0-9-1 with RabbitMQ's extensions: a struct for each, and the enum of them all.
//!
//! Strings and tables borrow from the payload. A table's length is checked here, its content by
//! `Table::validate`.

use alloc::vec::Vec;

use crate::codec::{
    Reader, put_long, put_longlong, put_longstr, put_octet, put_short, put_shortstr, put_table,
};
use crate::field::Table;
use crate::frame::{FrameKind, begin_frame, end_frame};
use crate::spec::{EncodeMethod, FieldKind, MethodError, MethodInfo, SentBy, field};
";

const REST: &str = r"
    /// Class id.
    #[must_use]
    pub fn class_id(&self) -> u16 {
        self.info().class_id
    }

    /// Number in the class.
    #[must_use]
    pub fn method_id(&self) -> u16 {
        self.info().method_id
    }

    /// As in `basic.publish`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// Appends a whole method frame.
    pub fn encode_frame(&self, channel: u16, out: &mut Vec<u8>) {
        let mark = begin_frame(out, FrameKind::Method, channel);
        self.encode_payload(out);
        end_frame(out, mark);
    }
}
";
