//! The user that a node has at its start: its name and its password, from our options or from the variables
//! that container images of RabbitMQ know. A password is never an option itself, because `ps` shows those to
//! everybody.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use leveret_model::definition::DEFAULT_USER;
use leveret_model::limits::PASSWORD_FILE_BYTES_MAX;
use leveret_server::DefaultUser;

use super::file::read_at_most;
use super::options::Settings;
use super::sources::{ConfigError, Environment, Sources};

const USER_VARIABLE: &str = "RABBITMQ_DEFAULT_USER";
const PASSWORD_VARIABLE: &str = "RABBITMQ_DEFAULT_PASS";

/// The user of these settings; RabbitMQ's `guest` if none is named.
pub(super) fn default_user(
    settings: &Settings,
    sources: &Sources<'_>,
    environment: &Environment,
) -> Result<DefaultUser, ConfigError> {
    // an empty variable counts as not set
    let variable = |name: &str| {
        let value = environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str());
        value.filter(|value| !value.is_empty())
    };
    let name = match &settings.default_user {
        Some(name) => Some(name.clone()),
        None => variable(USER_VARIABLE).map(user_of_variable).transpose()?,
    };
    let password = match &settings.default_password_file {
        Some(path) => Some(read_password(path, sources)?),
        None => variable(PASSWORD_VARIABLE).map(|value| value.as_bytes().to_vec()),
    };
    match (name, password) {
        (name, Some(password)) => Ok(DefaultUser::new(name.as_deref().unwrap_or(DEFAULT_USER), &password)),
        (Some(name), None) if name != DEFAULT_USER => {
            let what = format!(
                "has no password; set --default-password-file FILE, or {PASSWORD_VARIABLE} in the environment"
            );
            let named = settings.default_user.is_some();
            let of_variable = || ConfigError::new(format!("{USER_VARIABLE}={}: {what}", name.escape_debug()));
            Err(if named { sources.wrong("default_user", &name, &what) } else { of_variable() })
        }
        (_, None) => Ok(DefaultUser::default()),
    }
}

fn user_of_variable(value: &OsStr) -> Result<String, ConfigError> {
    let name = value.to_str().ok_or("is not UTF-8").map_err(str::to_owned).and_then(super::values::user);
    name.map_err(|what| ConfigError::new(format!("{USER_VARIABLE}: {what}")))
}

/// The file without the line end that an editor leaves.
fn read_password(path: &std::path::Path, sources: &Sources<'_>) -> Result<Vec<u8>, ConfigError> {
    let wrong = |what: &str| sources.wrong("default_password_file", &path.display().to_string(), what);
    let mut bytes = read_at_most(path, PASSWORD_FILE_BYTES_MAX).map_err(|what| wrong(&what))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() { Err(wrong("is empty; write a password into it")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{ServeArgs, load};

    /// Name and whether it is the public user's password, or the error.
    fn user(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<String, String> {
        let given = flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
        let home = [("HOME", "/tmp")];
        let environment: Vec<(String, OsString)> =
            home.iter().chain(variables).map(|(key, value)| ((*key).to_owned(), value.into())).collect();
        let loaded = load(&ServeArgs { given }, &environment).map_err(|error| error.to_string())?;
        let shown = format!("{:?}", loaded.default_user);
        assert!(!shown.contains("ears"), "a password is never shown: {shown}");
        Ok(format!("{} {}", loaded.default_user.name(), shown.contains("Some")))
    }

    #[test]
    fn the_user_comes_from_our_options_or_from_the_variables_of_rabbitmq() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("password");
        std::fs::write(&path, "long ears\r\n").expect("written");
        let file = path.to_str().expect("UTF-8");
        let of_rabbitmq = [("RABBITMQ_DEFAULT_USER", "rabbit"), ("RABBITMQ_DEFAULT_PASS", "short ears")];
        assert_eq!(user(&[], &[]).as_deref(), Ok("guest false"));
        assert_eq!(user(&[], &of_rabbitmq).as_deref(), Ok("rabbit true"));
        assert_eq!(user(&[], &[of_rabbitmq[1]]).as_deref(), Ok("guest true"));
        assert_eq!(user(&[], &[("RABBITMQ_DEFAULT_USER", "guest")]).as_deref(), Ok("guest false"));
        let flags = [("default_user", "hare"), ("default_password_file", file)];
        assert_eq!(user(&flags, &of_rabbitmq).as_deref(), Ok("hare true"));
        assert_eq!(user(&flags[1..], &[]).as_deref(), Ok("guest true"));
    }

    #[test]
    fn a_user_without_a_password_is_refused_with_what_to_do() {
        for (flags, variables, place) in [
            (&[("default_user", "hare")][..], &[][..], "--default-user hare: has no password"),
            (&[], &[("RABBITMQ_DEFAULT_USER", "hare")], "RABBITMQ_DEFAULT_USER=hare: has no password"),
        ] {
            let error = user(flags, variables).expect_err("refused");
            assert!(error.starts_with(place) && error.contains("--default-password-file"), "{error}");
        }
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let file = empty.path().to_str().expect("UTF-8");
        let error = user(&[("default_password_file", file)], &[]).expect_err("refused");
        assert!(error.contains("is empty"), "{error}");
    }
}
