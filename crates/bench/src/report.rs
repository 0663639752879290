//! Results for people (tables) and for programs (JSON): medians, spreads, ratios, faults.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Value, json};

use super::ledger::Faults;
use super::peer::RELAY;
use super::process::machine;
use super::rounds::{CaseResult, Outcome};

/// Who took part: label, place, name and version.
pub(super) type Roll = Vec<(&'static str, String, String)>;

/// Smallest, middle and largest of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { min, median, max })
    }
}

fn spread(rounds: &[Outcome], name: &str) -> Option<Spread> {
    let values = rounds.iter().flat_map(|round| &round.metrics).filter(|metric| metric.name == name);
    Spread::of(values.map(|metric| metric.value).collect())
}

fn faults(rounds: &[Outcome]) -> Faults {
    let mut sum = Faults::default();
    rounds.iter().for_each(|round| sum.add(&round.faults));
    sum
}

/// Names of all figures, in the order in which they were measured.
fn names(case: &CaseResult) -> Vec<&'static str> {
    let mut names = Vec::new();
    for metric in case.rounds.iter().flat_map(|(_, rounds)| rounds).flat_map(|round| &round.metrics) {
        if !names.contains(&metric.name) {
            names.push(metric.name);
        }
    }
    names
}

/// Pairs of peers whose ratio is of interest: (of, to).
fn pairs(case: &CaseResult) -> Vec<(&'static str, &'static str)> {
    let there = |label: &str| case.rounds.iter().any(|(one, _)| *one == label);
    [("B", "A"), ("A", RELAY), ("B", RELAY)].into_iter().filter(|(of, to)| there(of) && there(to)).collect()
}

fn ratio(case: &CaseResult, name: &str, (of, to): (&str, &str)) -> Option<f64> {
    let median = |label: &str| {
        let (_, rounds) = case.rounds.iter().find(|(one, _)| *one == label)?;
        Some(spread(rounds, name)?.median)
    };
    let (of, to) = (median(of)?, median(to)?);
    (to > 0.0).then_some(of / to)
}

/// Three significant digits, thousands apart.
fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let whole_digits = value.abs().log10().floor() as i32 + 1;
    if whole_digits >= 3 {
        let digits = format!("{value:.0}");
        let mut out = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
                out.push(' ');
            }
            out.push(digit);
        }
        return out;
    }
    format!("{value:.*}", (3 - whole_digits).clamp(0, 6) as usize)
}

/// Prints tables.
pub(super) fn tables(out: &mut impl Write, scenario: &str, roll: &Roll, cases: &[CaseResult]) -> Result<()> {
    let about: Vec<String> = machine().iter().map(|(name, value)| format!("{name} {value}")).collect();
    writeln!(out, "{scenario} on {}", about.join(", "))?;
    for (label, place, server) in roll {
        writeln!(out, "  {label}: {server} at {place}")?;
    }
    for case in cases {
        let rounds = case.rounds.iter().map(|(_, rounds)| rounds.len()).max().unwrap_or(0);
        writeln!(out, "\n{}: median (min to max) of {rounds}", case.name)?;
        writeln!(out, "{}", table(case))?;
        for (label, rounds) in &case.rounds {
            let sum = faults(rounds);
            if sum.any() {
                let counts: Vec<_> =
                    sum.named().iter().map(|(name, count)| format!("{count} {name}")).collect();
                writeln!(out, "FAULTS at {label}: {}", counts.join(", "))?;
            }
        }
    }
    if cases.iter().any(CaseResult::any_fault) {
        writeln!(out, "\nNot every message arrived once, whole and in order: these figures prove nothing.")?;
    }
    Ok(())
}

fn table(case: &CaseResult) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let pairs = pairs(case);
    let mut header = vec![String::new()];
    header.extend(case.rounds.iter().map(|(label, _)| (*label).to_owned()));
    header.extend(pairs.iter().map(|(of, to)| format!("{of}/{to}")));
    table.set_header(header);
    for name in names(case) {
        let mut row = vec![Cell::new(name)];
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        row.extend(case.rounds.iter().map(|(_, rounds)| {
            right(match spread(rounds, name) {
                None => "–".to_owned(),
                Some(s) if rounds.len() == 1 => figure(s.median),
                Some(s) => format!("{} ({} to {})", figure(s.median), figure(s.min), figure(s.max)),
            })
        }));
        row.extend(pairs.iter().map(|pair| right(ratio(case, name, *pair).map_or("–".to_owned(), figure))));
        table.add_row(row);
    }
    table.add_row(faults_row(case, pairs.len()));
    table
}

/// That nothing went wrong is a figure as well: it was counted.
fn faults_row(case: &CaseResult, pairs: usize) -> Vec<Cell> {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let names = Faults::default().named().map(|(name, _)| name);
    let mut row = vec![Cell::new(names.join(" / "))];
    row.extend(
        case.rounds
            .iter()
            .map(|(_, rounds)| right(faults(rounds).named().map(|(_, count)| count.to_string()).join(" / "))),
    );
    row.extend((0..pairs).map(|_| right("–".to_owned())));
    row
}

/// Prints one JSON document.
pub(super) fn document(
    out: &mut impl Write,
    scenario: &str,
    roll: &Roll,
    cases: &[CaseResult],
) -> Result<()> {
    let peers: Vec<Value> = roll
        .iter()
        .map(|(label, place, server)| json!({ "label": label, "url": place, "server": server }))
        .collect();
    let cases: Vec<Value> = cases.iter().map(case_document).collect();
    let command: Vec<String> = std::env::args().collect();
    let document = json!({
        "scenario": scenario,
        "version": env!("CARGO_PKG_VERSION"),
        "command": without_passwords(&command),
        "machine": machine(),
        "peers": peers,
        "cases": cases,
    });
    writeln!(out, "{document:#}")?;
    Ok(())
}

fn case_document(case: &CaseResult) -> Value {
    let peers: BTreeMap<&str, Value> = case
        .rounds
        .iter()
        .map(|(label, rounds)| {
            let figures: BTreeMap<&str, Value> = names(case)
                .into_iter()
                .filter_map(|name| {
                    let Spread { min, median, max } = spread(rounds, name)?;
                    let each: Vec<f64> = rounds
                        .iter()
                        .flat_map(|round| round.metrics.iter().filter(|metric| metric.name == name))
                        .map(|metric| metric.value)
                        .collect();
                    Some((name, json!({ "median": median, "min": min, "max": max, "rounds": each })))
                })
                .collect();
            let faults: BTreeMap<_, _> = faults(rounds).named().into_iter().collect();
            (*label, json!({ "figures": figures, "faults": faults }))
        })
        .collect();
    let ratios: BTreeMap<String, BTreeMap<&str, f64>> = pairs(case)
        .into_iter()
        .map(|pair| {
            let by_name = names(case).into_iter().filter_map(|name| Some((name, ratio(case, name, pair)?)));
            (format!("{}/{}", pair.0, pair.1), by_name.collect())
        })
        .collect();
    json!({ "name": case.name, "peers": peers, "ratios": ratios })
}

/// The command line with URLs as they are displayed.
fn without_passwords(command: &[String]) -> String {
    let shown = command.iter().map(|word| {
        let (option, url) = word.split_once('=').unwrap_or(("", word));
        match url.parse::<super::url::Url>() {
            Ok(url) if option.is_empty() => url.to_string(),
            Ok(url) => format!("{option}={url}"),
            Err(_) => word.clone(),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(value: f64) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.push("messages/s", value);
        outcome
    }

    fn case() -> CaseResult {
        let rounds = |values: [f64; 3]| values.map(outcome).to_vec();
        CaseResult {
            name: "16 B".to_owned(),
            rounds: vec![
                ("A", rounds([3.0, 1.0, 2.0])),
                ("B", rounds([8.0, 5.0, 6.0])),
                (RELAY, rounds([12.0; 3])),
            ],
        }
    }

    #[test]
    fn ratios_are_those_of_medians() {
        let case = case();
        assert_eq!(ratio(&case, "messages/s", ("B", "A")), Some(3.0));
        assert_eq!(ratio(&case, "messages/s", ("B", RELAY)), Some(0.5));
        assert_eq!(ratio(&case, "other", ("B", "A")), None);
        assert_eq!(Spread::of(vec![4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
    }

    #[test]
    fn figures_have_three_digits() {
        let shown = [1_234_567.0, 100.0, 99.44, 1.0, 0.012_34, 0.0].map(figure);
        assert_eq!(shown, ["1 234 567", "100", "99.4", "1.00", "0.0123", "0"]);
    }

    #[test]
    fn both_forms_tell_of_faults() {
        let mut case = case();
        case.rounds[1].1[2].faults.lost = 7;
        let cases = [case];
        let (mut text, mut document_bytes) = (Vec::new(), Vec::new());
        tables(&mut text, "throughput", &Roll::new(), &cases).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("FAULTS at B: 7 lost"), "{text}");
        let row = text.lines().find(|line| line.contains("lost / duplicated / reordered / damaged"));
        let row = row.expect("counts stand in the table, those that are 0 too");
        assert!(
            row.contains(" 7 / 0 / 0 / 0 / 0 / 0 ") && row.matches(" 0 / 0 / 0 / 0 / 0 / 0 ").count() == 2,
            "{row}"
        );
        document(&mut document_bytes, "throughput", &Roll::new(), &cases).unwrap();
        let value: Value = serde_json::from_slice(&document_bytes).unwrap();
        assert_eq!(value.pointer("/cases/0/peers/B/faults/lost"), Some(&json!(7)));
        assert_eq!(value.pointer("/cases/0/ratios/B~1A/messages~1s"), Some(&json!(3.0)));
    }

    #[test]
    fn passwords_are_not_repeated() {
        let command = ["bench", "--url=amqp://u:secret@h/", "--url", "amqp://u:secret@h/"].map(str::to_owned);
        assert!(!without_passwords(&command).contains("secret"));
    }
}
