//! The three sources behind one question: which texts hold for this option, and who said so?

use std::ffi::OsString;
use std::fmt;

use leveret_model::limits;

use super::file::File;
use super::options::{self, CONFIG, Declared, Fallback};

/// Variables of the process, as they were at start.
pub(crate) type Environment = Vec<(String, OsString)>;

/// Options given as flags: key and values.
pub(crate) type Given<'a> = [(&'a str, Vec<String>)];

/// What is wrong with the configuration, in one line. The node has not started; nothing was touched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(line: String) -> Self {
        Self(line)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Flag,
    Variable,
    /// File and line.
    File(String, usize),
    Fallback,
}

/// Texts for an option, and who gave them.
struct Picked {
    texts: Vec<String>,
    origin: Origin,
}

/// Flags, environment and file together.
pub(crate) struct Sources<'a> {
    given: &'a Given<'a>,
    environment: &'a Environment,
    file: Option<File>,
}

impl<'a> Sources<'a> {
    /// Opens the file if flags or environment name one.
    pub(crate) fn open(given: &'a Given<'a>, environment: &'a Environment) -> Result<Self, ConfigError> {
        let mut sources = Self::without_file(given, environment);
        if let Some(picked) = sources.pick(&CONFIG)? {
            sources.file = Some(File::read(&picked.texts[0])?);
        }
        Ok(sources)
    }

    /// Flags and environment only.
    pub(crate) fn without_file(given: &'a Given<'a>, environment: &'a Environment) -> Self {
        Self { given, environment, file: None }
    }

    /// An option that always has a value.
    pub(crate) fn one<T>(
        &self,
        option: &Declared,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        match self.pick(option)? {
            Some(picked) => Self::parse(option, &picked, &picked.texts[0], parse),
            None => Err(ConfigError::new(format!("--{} must be given", option.flag()))),
        }
    }

    /// An option that may be without one.
    pub(crate) fn maybe<T>(
        &self,
        option: &Declared,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(picked) = self.pick(option)? else { return Ok(None) };
        Self::parse(option, &picked, &picked.texts[0], parse).map(Some)
    }

    /// An option with a list of them.
    pub(crate) fn many<T>(
        &self,
        option: &Declared,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(picked) = self.pick(option)? else { return Ok(Vec::new()) };
        if picked.texts.len() > limits::LIST_VALUES_MAX {
            let count = format!("{} values", picked.texts.len());
            return Err(wrong(
                option,
                &picked.origin,
                &count,
                &format!("are more than {}", limits::LIST_VALUES_MAX),
            ));
        }
        picked.texts.iter().map(|text| Self::parse(option, &picked, text, parse)).collect()
    }

    /// An error about a value that parsed and still cannot be.
    pub(crate) fn wrong(&self, key: &str, value: &str, what: &str) -> ConfigError {
        ConfigError::new(format!("{}: {what}", self.place(key, value)))
    }

    /// The option's value and who gave it, for people.
    pub(crate) fn place(&self, key: &str, value: &str) -> String {
        let option = options::declared(key);
        let origin = self.pick(option).ok().flatten().map_or(Origin::Fallback, |picked| picked.origin);
        place(option, &origin, value)
    }

    /// Variables with our prefix that no option has.
    pub(crate) fn unknown_variables(&self, known: &[String]) -> Vec<String> {
        let ours = |name: &str| known.iter().any(|known| known == name);
        let names = self.environment.iter().map(|(name, _)| name);
        names.filter(|name| name.starts_with("LEVERET_") && !ours(name)).cloned().collect()
    }

    fn pick(&self, option: &Declared) -> Result<Option<Picked>, ConfigError> {
        if let Some((_, texts)) = self.given.iter().find(|(key, _)| *key == option.key) {
            return Ok(Some(Picked { texts: texts.clone(), origin: Origin::Flag }));
        }
        if let Some(text) = self.variable(option)? {
            if !option.repeatable {
                return Ok(Some(Picked { texts: vec![text], origin: Origin::Variable }));
            }
            let texts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
            if let Some(at) = texts.iter().position(String::is_empty) {
                let shape = option.shape;
                let what = format!("item {} of {} is empty; write {shape},{shape}", at + 1, texts.len());
                return Err(wrong(option, &Origin::Variable, &text, &what));
            }
            return Ok(Some(Picked { texts, origin: Origin::Variable }));
        }
        if let Some((file, entry)) = self.file.as_ref().and_then(|file| Some((file, file.entry(option.key)?)))
        {
            let origin = Origin::File(file.name.clone(), entry.line);
            return Ok((!entry.texts.is_empty()).then(|| Picked { texts: entry.texts.clone(), origin }));
        }
        let text = match &option.fallback {
            Fallback::Absent(_) => return Ok(None),
            Fallback::Is(text) => (*text).to_owned(),
            Fallback::List(texts) => {
                let texts = texts.iter().map(|text| (*text).to_owned()).collect();
                return Ok(Some(Picked { texts, origin: Origin::Fallback }));
            }
            Fallback::Bytes(bytes) => bytes.to_string(),
            Fallback::From(_, work_out) => work_out(self.environment)
                .map_err(|what| ConfigError::new(format!("--{} {what}", option.flag())))?,
        };
        Ok(Some(Picked { texts: vec![text], origin: Origin::Fallback }))
    }

    /// An empty variable counts as not set, as in most programs.
    fn variable(&self, option: &Declared) -> Result<Option<String>, ConfigError> {
        let name = option.variable();
        let Some((_, value)) = self.environment.iter().find(|(key, value)| *key == name && !value.is_empty())
        else {
            return Ok(None);
        };
        let text =
            value.to_str().ok_or_else(|| ConfigError::new(format!("{name} is not UTF-8; set it anew")))?;
        Ok(Some(text.to_owned()))
    }

    fn parse<T>(
        option: &Declared,
        picked: &Picked,
        text: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(text).map_err(|what| wrong(option, &picked.origin, text, &what))
    }
}

fn wrong(option: &Declared, origin: &Origin, value: &str, what: &str) -> ConfigError {
    ConfigError::new(format!("{}: {what}", place(option, origin, value)))
}

fn place(option: &Declared, origin: &Origin, value: &str) -> String {
    // One line stays one line whatever the value holds, and a long value is cut.
    let mut shown: String = value.chars().take(80).flat_map(char::escape_debug).collect();
    if value.chars().count() > 80 {
        shown.push('…');
    }
    if shown.is_empty() {
        shown.push_str("\"\"");
    }
    match origin {
        Origin::Flag => format!("--{} {shown}", option.flag()),
        Origin::Variable => format!("{}={shown}", option.variable()),
        Origin::File(name, line) => format!("{name}:{line}: {} = {shown}", option.key),
        Origin::Fallback => format!("--{} (default {shown})", option.flag()),
    }
}
