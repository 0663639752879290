//! A list of seeds in a file that something else writes, read again when it changes.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use leveret_model::limits;

use super::driver::{Answer, Registry};

/// The driver.
pub(super) struct SeedFile {
    path: PathBuf,
}

impl SeedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn read(&self) -> Result<Vec<String>, String> {
        let wrong = |error: std::io::Error| error.to_string();
        if fs::metadata(&self.path).map_err(wrong)?.len() > limits::DNS_FILE_BYTES_MAX {
            return Err(format!("it has more than {} bytes", limits::DNS_FILE_BYTES_MAX));
        }
        parse(&fs::read_to_string(&self.path).map_err(wrong)?)
    }
}

/// One `ADDR:PORT` a line; what follows `#` is a comment. A list with one wrong line is used as little as one
/// that is half written.
fn parse(text: &str) -> Result<Vec<String>, String> {
    let mut seeds = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            let address: SocketAddr = entry.parse().map_err(|_| {
                let shown: String = entry.chars().take(80).collect();
                format!("line {}: {shown:?} is not ADDR:PORT with a numeric address", number + 1)
            })?;
            seeds.push(address.to_string());
        }
    }
    Ok(seeds)
}

impl Registry for SeedFile {
    fn what(&self) -> String {
        format!("seed file {}", self.path.display())
    }

    fn seeds(&mut self) -> Answer<'_, Vec<String>> {
        Box::pin(std::future::ready(self.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_address_a_line_and_comments() {
        let text = "# nodes\n10.0.0.1:7 # first\n\n  [::1]:8\n";
        assert_eq!(parse(text).unwrap(), ["10.0.0.1:7", "[::1]:8"]);
        assert_eq!(parse("").unwrap(), Vec::<String>::new());
        let error = parse("10.0.0.1:7\nnode-b:7\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("node-b:7"), "{error}");
    }

    #[test]
    fn a_file_is_read_each_time_and_what_cannot_be_read_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = SeedFile::new(directory.path().join("seeds"));
        assert!(file.read().is_err());
        fs::write(&file.path, "10.0.0.1:7\n").unwrap();
        assert_eq!(file.read().unwrap(), ["10.0.0.1:7"]);
        fs::write(&file.path, "10.0.0.2:7\n").unwrap();
        assert_eq!(file.read().unwrap(), ["10.0.0.2:7"]);
    }
}
