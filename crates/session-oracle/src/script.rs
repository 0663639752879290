//! Random commands: mostly sensible, some with wrong options, counts and spelling.

use leveret_model::{Seed, SplitMix};

/// What is sent, and what is known about it.
pub(crate) struct Command {
    pub(crate) bytes: Vec<u8>,
    /// In lower case; `a|b` for a subcommand.
    pub(crate) name: String,
    /// A command that only we refuse has been sent since MULTI.
    pub(crate) spoiled: bool,
}

/// The commands of one seed.
pub(crate) struct Script {
    random: SplitMix,
    /// Between MULTI and EXEC, by connection: whether a command that only we refuse was among them.
    multi: [Option<bool>; 2],
    /// The key of the transaction that each connection is in.
    block_key: [&'static str; 2],
    /// The connection whose words are drawn.
    at: usize,
}

const KEYS: [&str; 5] = ["a", "b", "sess:c", "PHPREDIS_SESSION:d", ""];
const FIELDS: [&str; 6] = ["", "f", "name", "with blank", "sessionAttr:user", "\u{e4}"];
const VALUES: [&str; 6] = ["", "x", "value", "with blank", "10", "value\r\nof two lines"];
/// None that would be over while a seed runs: two clocks never agree on such a moment.
const TIMES: [&str; 12] = [
    "100000",
    "1000000",
    "60000",
    "0",
    "-1",
    "x",
    "",
    "9223372036854775807",
    "9223372036854775",
    "99999999999999999999",
    "1.5",
    "+5",
];
const UNIX: [&str; 5] = ["4000000000", "1", "-4", "4000000000000", "9223372036854775807"];
const SET_OPTIONS: [&str; 10] = ["NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "PERSIST", "nx"];
const EXPIRE_OPTIONS: [&str; 6] = ["NX", "XX", "GT", "LT", "gt", "YY"];

/// Each with one of what it takes: k key, f field, v value, t time, u point in time, s options of SET, g of
/// GETEX, e of EXPIRE, d number of a database, n many keys, c cursor and its options; other words stand for
/// themselves.
const FORMS: [&str; 81] = [
    "rename k k",
    "rename k k",
    "renamenx k k",
    "hset k f v",
    "hset k f v",
    "hset k f v f v",
    "hset k f v f v f v f",
    "hmset k f v f v",
    "hmset k f v f",
    "hsetnx k f v",
    "hsetnx k f v",
    "hget k f",
    "hget k f",
    "hmget k f f f",
    "hmget k f",
    "hgetall k",
    "hgetall k",
    "hkeys k",
    "hlen k",
    "hexists k f",
    "hdel k f",
    "hdel k f f f",
    "hdel k f f f f f f f f f",
    "get k",
    "get k",
    "get k",
    "mget n",
    "set k v",
    "set k v",
    "set k v s",
    "set k v s",
    "set k v s s",
    "setex k t v",
    "psetex k t v",
    "setnx k v",
    "getset k v",
    "getdel k",
    "getex k",
    "getex k g",
    "getex k g g",
    "strlen k",
    "del n",
    "unlink n",
    "exists n",
    "touch n",
    "type k",
    "ttl k",
    "pttl k",
    "expiretime k",
    "pexpiretime k",
    "expire k t",
    "expire k t e",
    "expire k t e e",
    "pexpire k t e",
    "expireat k u",
    "pexpireat k u e",
    "persist k",
    "flushdb",
    "flushdb ASYNC v",
    "dbsize",
    "scan 0 COUNT 10000",
    "scan c",
    "multi",
    "multi",
    "exec",
    "exec",
    "exec",
    "discard",
    "ping",
    "ping v",
    "echo v",
    "select d",
    "client|id",
    "client|getname",
    "client|setname v",
    "client|setinfo LIB-NAME v",
    "client|foo v",
    "foo v v",
    "evalsha v t k v",
    "hello h",
    "reset",
];

/// The unlock of phpredis.
const UNLOCK: &str =
    "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) else return 0 end";

/// Commands that we alone refuse between MULTI and EXEC.
const NOT_IN_MULTI: [&str; 6] = ["scan", "dbsize", "flushdb", "hello", "rename", "renamenx"];

impl Script {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { random: SplitMix::new(seed), multi: [None; 2], block_key: [""; 2], at: 0 }
    }

    /// A connection, and what it sends.
    pub(crate) fn next(&mut self) -> (usize, Command) {
        let at = self.random.below(2) as usize;
        self.at = at;
        let mut words = self.words();
        let full = words[0].clone();
        let mut first: Vec<String> = full.split('|').map(str::to_owned).collect();
        first.extend(words.drain(1..));
        // sometimes one argument too few or too many
        match self.random.below(30) {
            0 if first.len() > 1 => drop(first.pop()),
            1 => first.push("x".to_owned()),
            2 => first[0].make_ascii_uppercase(),
            _ => {}
        }
        let spoiled = self.follow(at, &full);
        (at, Command { bytes: encode(&first), name: full, spoiled })
    }

    /// Keeps in mind whether the connection is in a transaction that we alone refuse.
    fn follow(&mut self, at: usize, name: &str) -> bool {
        if name == "multi" && self.multi[at].is_none() {
            self.block_key[at] = self.pick(&KEYS);
        }
        let state = &mut self.multi[at];
        match name {
            "multi" if state.is_none() => *state = Some(false),
            "exec" | "discard" | "reset" => return state.take().unwrap_or(false),
            _ if NOT_IN_MULTI.contains(&name) => *state = state.map(|_| true),
            _ => {}
        }
        state.unwrap_or(false)
    }

    /// In a transaction nearly always the same one, because what crosses keys ends the comparison.
    fn key(&mut self) -> &'static str {
        let fixed = self.multi[self.at].is_some() && self.random.below(50) > 0;
        if fixed { self.block_key[self.at] } else { self.pick(&KEYS) }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.below(from.len() as u64) as usize]
    }

    fn words(&mut self) -> Vec<String> {
        if self.random.below(40) == 0 {
            let (key, value) = (self.key(), self.pick(&VALUES));
            return ["eval", UNLOCK, "1", key, value].map(str::to_owned).to_vec();
        }
        let mut form = self.pick(&FORMS);
        // CLIENT SETINFO, which Redis 7.0 does not know, would spoil its transaction and not
        // ours; a wrong time of GETEX is another error for a missing key
        let refused =
            |form: &str| form.starts_with("select") || NOT_IN_MULTI.iter().any(|name| form.starts_with(name));
        while self.multi[self.at].is_some()
            && (form.starts_with("client|setinfo")
                || form.starts_with("getex")
                || refused(form) && self.random.below(20) > 0)
        {
            form = self.pick(&FORMS);
        }
        let mut words = Vec::new();
        for (at, word) in form.split(' ').enumerate() {
            match word {
                _ if at == 0 => words.push(word.to_owned()),
                "k" => words.push(self.key().to_owned()),
                "f" => words.push(self.pick(&FIELDS).to_owned()),
                "v" => words.push(self.pick(&VALUES).to_owned()),
                "t" => words.push(self.pick(&TIMES).to_owned()),
                "u" => words.push(self.pick(&UNIX).to_owned()),
                "e" => words.push(self.pick(&EXPIRE_OPTIONS).to_owned()),
                "d" => words.push(self.pick(&["0", "1", "15", "16", "-1", "x"]).to_owned()),
                "h" => words.push(self.pick(&["2", "3", "3", "4", "x"]).to_owned()),
                "c" => words.extend(
                    self.pick(&["0 MATCH", "x", "0 COUNT 0", "0 COUNT x", "0 FOO 1"])
                        .split(' ')
                        .map(str::to_owned),
                ),
                "n" => {
                    for _ in 0..=self.random.below(3) {
                        words.push(self.key().to_owned());
                    }
                }
                "s" | "g" => self.option(&mut words),
                other => words.push(other.to_owned()),
            }
        }
        words
    }

    /// One of SET and GETEX, mostly with what it takes.
    fn option(&mut self, words: &mut Vec<String>) {
        let option = self.pick(&SET_OPTIONS);
        words.push(option.to_owned());
        let takes: &[&str] = match option {
            "EX" | "PX" => &TIMES,
            "EXAT" | "PXAT" => &UNIX,
            _ => return,
        };
        if self.random.below(20) > 0 {
            words.push(self.pick(takes).to_owned());
        }
    }
}

fn encode(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
