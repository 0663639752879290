//! The TOML file: each key to its texts and its line. Unknown keys are errors, since a typing error that does
//! nothing is found last.

use std::fs::{File as Opened, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use leveret_model::limits::{CONFIG_FILE_BYTES_MAX, CONFIG_FILE_WAIT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use toml::de::{DeTable, DeValue};

use super::options;
use super::sources::ConfigError;

/// A file that was read.
pub(crate) struct File {
    /// As the operator called it.
    pub(crate) name: String,
    entries: Vec<(String, Entry)>,
}

/// A key's values.
pub(crate) struct Entry {
    /// Where the key stands, from 1.
    pub(crate) line: usize,
    /// One text, or several for a list.
    pub(crate) texts: Vec<String>,
}

impl File {
    /// Reads and checks all keys, not the values.
    pub(crate) fn read(name: &str) -> Result<Self, ConfigError> {
        let unreadable = |what: String| ConfigError::new(format!("config file {name}: {what}"));
        let bytes = read_at_most(Path::new(name), CONFIG_FILE_BYTES_MAX)
            .map_err(|what| unreadable(format!("{what}; check --config")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            unreadable(format!("is not UTF-8 at byte {at}; check --config"))
        })?;
        Self::parse(name, &text)
    }

    /// The entry under a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, entry)| entry)
    }

    pub(super) fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let line = |span: Range<usize>| text[..span.start].matches('\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, line);
            ConfigError::new(format!("{name}:{line}: not TOML: {}", error.message().replace('\n', ", ")))
        })?;
        let mut entries = Vec::new();
        for (key, value) in table.get_ref() {
            let line = line(key.span());
            let key = key.get_ref().to_string();
            let Some(option) = options::all().find(|option| option.in_file && option.key == key) else {
                return Err(ConfigError::new(format!(
                    "{name}:{line}: unknown key {key:?}{}",
                    suggestion(&key)
                )));
            };
            let texts = match value.get_ref() {
                DeValue::Array(items) if option.repeatable => {
                    items.iter().map(|item| scalar(item.get_ref())).collect()
                }
                single => scalar(single).map(|text| vec![text]),
            };
            let texts = texts.ok_or_else(|| {
                let shape = option.shape;
                let list = if option.repeatable { format!(" or a list of {shape}") } else { String::new() };
                ConfigError::new(format!("{name}:{line}: {key} must be {shape} as a string or number{list}"))
            })?;
            entries.push((key, Entry { line, texts }));
        }
        Ok(Self { name: name.to_owned(), entries })
    }
}

/// The content of a file, or what is wrong with it. What a name leads to need not be a file that ends: no
/// more is read than shows that it is too long, and a pipe into which nobody writes is not waited for for
/// ever.
pub(super) fn read_at_most(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    read_within(path, bytes_max, CONFIG_FILE_WAIT)
}

pub(super) fn read_within(path: &Path, bytes_max: usize, wait: Duration) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::IsADirectory => "is a directory, not a file".to_owned(),
        _ => format!("cannot be read ({error})"),
    };
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(unreadable)?;
    let until = Instant::now() + wait;
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while bytes.len() <= bytes_max {
        if !is_readable(&file, until).map_err(unreadable)? {
            return Err(format!("is a pipe that nobody ended within {} s", wait.as_secs()));
        }
        match file.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Err(format!("has more than {bytes_max} bytes"))
}

/// Waits for bytes or an end; false if neither came in time. A file has them at once.
fn is_readable(file: &Opened, until: Instant) -> std::io::Result<bool> {
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        match poll(&mut [PollFd::new(file, PollFlags::IN)], left.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        _ => None,
    }
}

fn suggestion(key: &str) -> String {
    let plain = key.replace('-', "_").to_lowercase();
    let near = options::all().filter(|option| option.in_file).find(|option| {
        option.key == plain || option.key.starts_with(&plain) || plain.starts_with(option.key)
    });
    match near {
        Some(option) => format!("; did you mean {}?", option.key),
        None => "; the keys are in docs/configuration.md and `leveret serve --help`".to_owned(),
    }
}
