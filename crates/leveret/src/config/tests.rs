//! Precedence of the sources, and the line that each wrong value gets.

use std::ffi::OsString;

use super::file::File;
use super::*;

fn flags(pairs: &[(&'static str, &str)]) -> ServeArgs {
    let mut args = ServeArgs::default();
    for (key, value) in pairs {
        match args.given.iter_mut().find(|(given, _)| given == key) {
            Some((_, values)) => values.push((*value).to_owned()),
            None => args.given.push((key, vec![(*value).to_owned()])),
        }
    }
    args
}

fn variables(pairs: &[(&str, &str)]) -> Environment {
    let home = ("HOME".to_owned(), OsString::from("/home/hare"));
    pairs.iter().map(|(key, value)| ((*key).to_owned(), OsString::from(value))).chain([home]).collect()
}

/// Loads with a file of that content, whose name is replaced by FILE in errors.
fn load_with(file: &str, env: &[(&str, &str)], given: &[(&'static str, &str)]) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("leveret.toml");
    std::fs::write(&path, file).expect("the file is written");
    let path = path.to_str().expect("UTF-8");
    let mut args = flags(given);
    args.given.push(("config", vec![path.to_owned()]));
    load(&args, &variables(env)).map_err(|error| error.to_string().replace(path, "FILE"))
}

fn settings(given: &[(&'static str, &str)]) -> Result<Settings, String> {
    load(&flags(given), &variables(&[])).map(|loaded| loaded.settings).map_err(|error| error.to_string())
}

#[test]
fn without_any_source_the_defaults_hold() {
    let settings = settings(&[]).expect("defaults are valid");
    assert_eq!(settings.listen, ["127.0.0.1:5672", "[::1]:5672"].map(|a| a.parse().expect("an address")));
    assert_eq!(settings.cluster_listen.to_string(), "127.0.0.1:25672");
    assert_eq!(settings.data_dir.to_str(), Some("/home/hare/.local/share/leveret"));
    assert_eq!(settings.group, "leveret");
    assert_eq!(settings.memory, leveret_model::limits::MEMORY_BYTES_MAX);
    assert!((1..=16).contains(&settings.shards));
    assert!(settings.name.is_none() && settings.seed.is_empty() && settings.dns.is_none());
    assert_eq!(settings.log_format, LogFormat::Auto);
}

#[test]
fn the_data_directory_follows_xdg() {
    let env = variables(&[("XDG_DATA_HOME", "/srv/xdg")]);
    assert_eq!(data_dir(None, &env).expect("a directory").to_str(), Some("/srv/xdg/leveret"));
    assert_eq!(data_dir(Some("d"), &env).expect("a directory").to_str(), Some("d"));
    let error = data_dir(None, &Vec::new()).expect_err("no home").to_string();
    assert!(error.starts_with("--data-dir is not given") && error.contains("HOME"), "{error}");
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let file = "group = \"file\"\nname = \"file\"\nshards = 3\n";
    let env = [("LEVERET_GROUP", "env"), ("LEVERET_NAME", "env")];
    let loaded = load_with(file, &env, &[("group", "flag")]).expect("valid").settings;
    assert_eq!(loaded.group, "flag");
    assert_eq!(loaded.name.as_deref(), Some("env"));
    assert_eq!(loaded.shards, 3);
}

#[test]
fn a_list_of_a_higher_source_replaces_the_lower_one() {
    let file = "seed = [\"127.0.0.1:1\", \"127.0.0.1:2\"]";
    let ports = |loaded: Loaded| loaded.settings.seed.iter().map(SocketAddr::port).collect::<Vec<_>>();
    assert_eq!(ports(load_with(file, &[], &[]).expect("valid")), [1, 2]);
    let env = [("LEVERET_SEED", "127.0.0.1:3, 127.0.0.1:4")];
    assert_eq!(ports(load_with(file, &env, &[]).expect("valid")), [3, 4]);
    let given = [("seed", "127.0.0.1:5"), ("seed", "127.0.0.1:6")];
    assert_eq!(ports(load_with(file, &env, &given).expect("valid")), [5, 6]);
}

#[test]
fn an_empty_variable_counts_as_not_set_and_an_unknown_one_is_reported() {
    let env = [("LEVERET_GROUP", ""), ("LEVERET_LISEN", "x"), ("LEVERET_CONFIG", "")];
    let loaded = load(&ServeArgs::default(), &variables(&env)).expect("valid");
    assert_eq!(loaded.settings.group, "leveret");
    assert_eq!(loaded.unknown_variables, ["LEVERET_LISEN"]);
}

#[test]
fn a_flag_overrides_a_value_that_is_wrong_in_the_file() {
    let loaded = load_with("shards = 900", &[], &[("shards", "2")]).expect("the flag holds");
    assert_eq!(loaded.settings.shards, 2);
}

#[test]
fn every_wrong_value_is_one_line_with_option_value_and_remedy() {
    let long = "x".repeat(256);
    let many = ["127.0.0.1:1"; 65];
    let cases: &[(&'static str, &str, &str)] = &[
        ("listen", "5672", "--listen 5672: is not ADDR:PORT"),
        ("listen", "localhost:5672", "--listen localhost:5672: is not ADDR:PORT"),
        ("listen", "127.0.0.1:70000", "is not ADDR:PORT"),
        ("listen", "a\nb", "--listen a\\nb: is not ADDR:PORT"),
        ("cluster_listen", "", "--cluster-listen \"\": is not ADDR:PORT"),
        ("cluster_listen", "0.0.0.0:25672", "set --secret-file"),
        (
            "cluster_listen",
            "127.0.0.1:5672",
            "--cluster-listen 127.0.0.1:5672: is the address of --listen too",
        ),
        ("listen", "127.0.0.1:25672", "--cluster-listen (default 127.0.0.1:25672): is the address of"),
        ("default_user", "", "--default-user \"\": is not the name of a user"),
        ("default_password_file", "/dev/null", "--default-password-file /dev/null: is empty"),
        ("loopback_users", "a\u{7f}b", "is not the name of a user"),
        ("proxy_protocol_from", "10.0.0.0/33", "--proxy-protocol-from 10.0.0.0/33: is not ADDR or ADDR/BITS"),
        ("data_dir", "", "is not a path"),
        ("name", "two words", "is not a name"),
        ("group", &long, "is not a name"),
        ("seed", "node1", "--seed node1: is not ADDR:PORT"),
        ("seed", "10.0.0.1:25672", "set --secret-file"),
        ("dns", "nodes..example", "--dns nodes..example: is not NAME or NAME:PORT"),
        ("dns", "nodes:0", "is not NAME or NAME:PORT"),
        ("dns", "http://nodes", "is not NAME or NAME:PORT"),
        ("dns_server", "ns1", "--dns-server ns1: is not ADDR:PORT"),
        (
            "dns_server",
            "127.0.0.1:53",
            "--dns-server 127.0.0.1:53: is there to be asked for --dns, which is not given",
        ),
        ("dns_update", "cloud_1.test", "--dns-update cloud_1.test: is not a DNS name of letters"),
        ("dns_update", "cloud.test", "--dns-update cloud.test: needs --dns-key-file"),
        ("dns_key_file", "key", "--dns-key-file key: is for --dns-update, which is not given"),
        ("dns_primary", "127.0.0.1:53", "is for --dns-update, which is not given"),
        ("dns_address", "0.0.0.0", "is not a numeric address that others can reach"),
        ("dns_ttl", "0", "is not a number of seconds from 1 to 86400"),
        ("secret_file", "", "is not a path"),
        ("shards", "0", "--shards 0: is not a number from 1 to 64"),
        ("shards", "many", "is not a number from 1 to 64"),
        ("memory", "1GIB", "--memory 1GIB: is not a size"),
        ("memory", "-1", "is not a size"),
        ("memory", "99999999TiB", "is not a size"),
        ("memory", "1MB", "is less than 64MiB"),
        ("log_format", "xml", "--log-format xml: is none of auto, human, json"),
        ("log_level", "loud", "--log-level loud: is none of off, error"),
    ];
    for (key, value, expected) in cases {
        let error = settings(&[(key, value)]).expect_err(value);
        assert!(error.contains(expected) && !error.contains('\n'), "{key} {value}: {error}");
    }
    let error = settings(&many.map(|seed| ("seed", seed))).expect_err("too many");
    assert!(error.contains("are more than 64"), "{error}");
    let many: Vec<String> = (1..=17).map(|port| format!("127.0.0.1:{port}")).collect();
    let given = vec![("listen", many)];
    let error = load(&ServeArgs { given }, &variables(&[])).expect_err("too many").to_string();
    assert!(error.contains("17 values: are more than 16"), "{error}");
    let given = vec![("listen", vec!["127.0.0.1:7".to_owned(), "127.0.0.1:7".to_owned()])];
    let error = load(&ServeArgs { given }, &variables(&[])).expect_err("the same").to_string();
    assert_eq!(error, "--listen 127.0.0.1:7: is given twice");
}

#[test]
fn clients_are_let_in_at_several_addresses_and_the_list_of_local_users_may_be_empty() {
    let both = ["0.0.0.0:5672", "[::]:5672"];
    let environment =
        variables(&[("LEVERET_LISTEN", "0.0.0.0:5672,[::]:5672"), ("LEVERET_LOOPBACK_USERS", "none")]);
    let settings = load(&ServeArgs::default(), &environment).expect("good").settings;
    assert_eq!(settings.listen, both.map(|address| address.parse().expect("an address")));
    assert_eq!(settings.loopback_users, Vec::<String>::new());
    let settings = load(&ServeArgs::default(), &variables(&[])).expect("defaults").settings;
    assert_eq!(settings.loopback_users, ["guest"]);
}

#[test]
fn good_values_of_every_shape_are_taken() {
    let memory = |text: &str| settings(&[("memory", text)]).expect(text).memory;
    assert_eq!(memory("2GiB"), 2 << 30);
    assert_eq!(memory("2G"), 2 << 30);
    assert_eq!(memory("2GB"), 2_000_000_000);
    assert_eq!(memory("100000000"), 100_000_000);
    let dns = |text: &str| settings(&[("dns", text)]).expect(text).dns.expect("given");
    assert_eq!((dns("nodes.example.org").port, dns("_amqp.nodes.:7").port), (25_672, 7));
    settings(&[("log_level", "warn,leveret_cluster=debug")]).expect("directives");
    settings(&[("listen", "[::1]:0")]).expect("IPv6");
    settings(&[("listen", "127.0.0.1:0"), ("cluster_listen", "127.0.0.1:0")]).expect("a free port each");
    settings(&[("cluster_listen", "0.0.0.0:25672"), ("secret_file", "s")]).expect("with a secret");
}

#[test]
fn a_wrong_variable_and_a_wrong_line_name_their_place() {
    let error =
        load(&ServeArgs::default(), &variables(&[("LEVERET_SHARDS", "x")])).expect_err("wrong").to_string();
    assert_eq!(error, "LEVERET_SHARDS=x: is not a number from 1 to 64");
    let error = load_with("\n# comment\nshards = 99\n", &[], &[]).expect_err("wrong");
    assert_eq!(error, "FILE:3: shards = 99: is not a number from 1 to 64");
    for (list, item) in [(",,", "item 1 of 3"), ("127.0.0.1:1, ", "item 2 of 2")] {
        let env = variables(&[("LEVERET_SEED", list)]);
        let error = load(&ServeArgs::default(), &env).expect_err(list).to_string();
        assert_eq!(error, format!("LEVERET_SEED={list}: {item} is empty; write ADDR:PORT,ADDR:PORT"));
    }
}

#[test]
fn a_file_with_an_unknown_key_or_the_wrong_kind_of_value_is_refused() {
    let error = |text: &str| load_with(text, &[], &[]).expect_err(text);
    assert_eq!(
        error("group = \"a\"\ncluster-listen = \"x\""),
        "FILE:2: unknown key \"cluster-listen\"; did you mean cluster_listen?"
    );
    assert!(error("config = \"x\"").contains("unknown key \"config\""));
    assert!(error("colour = 1").contains("docs/configuration.md"));
    assert_eq!(
        error("listen = true"),
        "FILE:1: listen must be ADDR:PORT as a string or number or a list of ADDR:PORT"
    );
    assert_eq!(
        error("cluster_listen = true"),
        "FILE:1: cluster_listen must be ADDR:PORT as a string or number"
    );
    assert!(error("seed = [[1]]").contains("or a list of ADDR:PORT"));
    let broken = error("listen = \"a\nb\"");
    assert!(broken.contains(": not TOML: ") && !broken.contains('\n'), "{broken}");
    assert!(error("group = \"a\"\ngroup = \"b\"").starts_with("FILE:2: not TOML: "));
    assert!(File::parse("f", "").is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(&flags(&[("config", "/nowhere/leveret.toml")]), &variables(&[]))
        .expect_err("missing")
        .to_string();
    assert!(
        error.starts_with("config file /nowhere/leveret.toml: cannot be read") && error.contains("--config"),
        "{error}"
    );
}

#[test]
fn a_secret_is_read_without_its_line_end_and_a_short_one_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("secret");
    let name = path.to_str().expect("UTF-8");
    let with_file = load(&flags(&[("secret_file", name)]), &variables(&[])).expect("valid");
    let missing = read_secret(&with_file).expect_err("missing").to_string();
    assert!(missing.starts_with(&format!("--secret-file {name}: cannot be read (")), "{missing}");
    assert!(missing.contains("; name a file that this user may read, or make one with `head "), "{missing}");
    let by_variable = load(&flags(&[]), &variables(&[("LEVERET_SECRET_FILE", name)])).expect("valid");
    let missing = read_secret(&by_variable).expect_err("missing").to_string();
    assert!(missing.starts_with(&format!("LEVERET_SECRET_FILE={name}: cannot be read (")), "{missing}");
    std::fs::write(&path, "0123456789abcdef0123456789abcdef\r\n").expect("written");
    assert_eq!(
        read_secret(&with_file).expect("valid").as_deref(),
        Some(&b"0123456789abcdef0123456789abcdef"[..])
    );
    std::fs::write(&path, "short\n").expect("written");
    assert!(
        read_secret(&with_file)
            .expect_err("short")
            .to_string()
            .contains("holds 5 bytes, a secret has 32 to 4096")
    );
    // what the handshake does not count does not make it long enough
    std::fs::write(&path, "  0123456789abcdef0123456789abcd\n").expect("written");
    let padded = read_secret(&with_file).expect_err("short").to_string();
    assert!(padded.contains("holds 30 bytes, a secret has 32 to 4096"), "{padded}");
    assert_eq!(read_secret(&load(&flags(&[]), &variables(&[])).expect("valid")).expect("none"), None);
}

/// A name may lead to anything: what is read of it is bounded, and the line says what to do.
#[test]
fn a_secret_file_that_is_empty_endless_or_a_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let refusal = |name: &str| {
        let loaded = load(&flags(&[("secret_file", name)]), &variables(&[])).expect("valid");
        read_secret(&loaded).expect_err(name).to_string()
    };
    let path = directory.path().join("secret");
    let name = path.to_str().expect("UTF-8");
    std::fs::write(&path, "").expect("written");
    assert!(refusal(name).starts_with(&format!("--secret-file {name}: is empty; make a secret with `head ")));
    let most = SECRET_FILE_BYTES_MAX;
    let too_long = format!("has more than {most} bytes; name a file that this user may read, or make one");
    std::fs::write(&path, vec![b'\n'; most + 1]).expect("written");
    assert!(refusal(name).starts_with(&format!("--secret-file {name}: {too_long}")));
    assert!(refusal("/dev/zero").starts_with(&format!("--secret-file /dev/zero: {too_long}")));
    std::fs::write(&path, vec![b'\n'; most]).expect("written");
    assert!(refusal(name).contains("holds 0 bytes, a secret has 32 to 4096"));
    let name = directory.path().to_str().expect("UTF-8");
    let line = refusal(name);
    assert!(line.starts_with(&format!("--secret-file {name}: is a directory, not a file; name ")), "{line}");
}

#[test]
fn a_configuration_file_that_is_endless_no_text_or_a_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let refusal = |name: &str| {
        load(&flags(&[("config", name)]), &variables(&[])).map(|_| ()).expect_err(name).to_string()
    };
    let most = leveret_model::limits::CONFIG_FILE_BYTES_MAX;
    let line = format!("config file /dev/zero: has more than {most} bytes; check --config");
    assert_eq!(refusal("/dev/zero"), line);
    let name = directory.path().to_str().expect("UTF-8");
    assert_eq!(refusal(name), format!("config file {name}: is a directory, not a file; check --config"));
    let path = directory.path().join("leveret.toml");
    std::fs::write(&path, b"name = \"\xff\"").expect("written");
    let name = path.to_str().expect("UTF-8");
    assert_eq!(refusal(name), format!("config file {name}: is not UTF-8 at byte 8; check --config"));
}

#[test]
fn the_manual_on_disk_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let on_disk = std::fs::read_to_string(path).unwrap_or_default();
    assert!(on_disk == render_page(), "docs/configuration.md is not current: run `cargo xtask gen`");
}

#[test]
fn every_option_says_what_it_is() {
    for option in options::all() {
        let help = option.help();
        assert!((4..90).contains(&help.len()), "{}: {} bytes: {help}", option.key, help.len());
        assert!(!option.manual().is_empty(), "{} has no manual", option.key);
    }
}

#[test]
fn a_pipe_is_read_to_its_end_and_one_without_a_writer_is_refused() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::time::Duration;

    let directory = tempfile::tempdir().expect("a temporary directory");
    let fifo = directory.path().join("fifo");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).expect("a FIFO");
    let error = file::read_within(&fifo, 100, Duration::from_millis(1)).expect_err("nobody writes");
    assert!(error.contains("a pipe that nobody ended"), "{error}");

    // what a shell makes of `<(...)`
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    let late = std::thread::spawn(move || file::read_within(&path, 100, Duration::from_secs(60)));
    writer.write_all(b"group = ").expect("a reader");
    writer.write_all(b"\"x\"").expect("a reader");
    drop(writer);
    assert_eq!(late.join().expect("no panic").as_deref(), Ok(&b"group = \"x\""[..]));
}

#[test]
fn a_registration_needs_a_key_that_can_be_used_and_a_group_that_fits_a_label() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("key");
    let path = path.to_str().expect("UTF-8");
    let given = [("dns_update", "Cloud.Test."), ("dns_key_file", path)];
    let read = || read_dns_update(&load(&flags(&given), &variables(&[])).expect("settings"));
    let error = read().expect_err("no file").to_string();
    assert!(error.starts_with(&format!("--dns-key-file {path}")) && error.contains("may read"), "{error}");
    std::fs::write(path, "key k { algorithm hmac-md5; secret \"eA==\"; };").expect("written");
    let error = read().expect_err("a weak key").to_string();
    assert!(error.contains("hmac-md5") && error.contains("tsig-keygen"), "{error}");
    let secret = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
    std::fs::write(path, format!("key k {{ algorithm hmac-sha256; secret \"{secret}\"; }};"))
        .expect("written");
    let update = read().expect("a key").expect("it is asked for");
    assert_eq!((&*update.zone, update.ttl_s, update.primary), ("cloud.test", 5, None));
    let grouped = [given[0], given[1], ("group", "a.b")];
    let error = settings(&grouped).expect_err("a dot");
    assert!(error.contains("--group a.b") && error.contains("part of DNS names"), "{error}");
}
