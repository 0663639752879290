//! Interleaved rounds: A, B, relay, A, B, relay, … so that a busy minute of the machine falls on all alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

use super::ledger::Faults;
use super::progress::Progress;

/// A measured figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    /// What it is, with its unit at the end.
    pub(super) name: &'static str,
    /// How much.
    pub(super) value: f64,
}

/// What one round of one peer gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The figures, the primary one first.
    pub(super) metrics: Vec<Metric>,
    /// What went wrong with messages.
    pub(super) faults: Faults,
}

impl Outcome {
    /// Adds a figure.
    pub(super) fn push(&mut self, name: &'static str, value: f64) {
        self.metrics.push(Metric { name, value });
    }
}

/// All rounds of one case.
pub(super) struct CaseResult {
    /// What was measured.
    pub(super) name: String,
    /// By peer, in the order of the peers: its rounds.
    pub(super) rounds: Vec<(&'static str, Vec<Outcome>)>,
}

impl CaseResult {
    /// True if any round of any peer lost, doubled, reordered or damaged something.
    pub(super) fn any_fault(&self) -> bool {
        self.rounds.iter().flat_map(|(_, rounds)| rounds).any(|round| round.faults.any())
    }
}

/// A peer or a program that a scenario measures.
pub(super) trait Labelled {
    /// `A`, `B` or `relay`.
    fn label(&self) -> &'static str;
}

/// Shows how far a round is, and heeds Ctrl-C.
pub(super) struct Console {
    /// Where progress is shown.
    pub(super) progress: Progress,
    interrupted: Arc<AtomicBool>,
}

impl Console {
    /// A console that heeds Ctrl-C: the round in hand cleans up after itself. A second Ctrl-C ends at once.
    pub(super) fn new(progress: Progress) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, interrupted.clone())?;
            signal_hook::flag::register(signal, interrupted.clone())?;
        }
        Ok(Self { progress, interrupted })
    }

    /// An error once the user wants to stop.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.interrupted.load(Ordering::SeqCst) {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// Runs each case for `rounds` rounds with everyone in turn.
pub(super) fn interleave<C, P: Labelled>(
    cases: Vec<(String, C)>,
    contestants: &[P],
    rounds: u32,
    console: &mut Console,
    mut run: impl FnMut(&C, &P, &mut Console) -> Result<Outcome>,
) -> Result<Vec<CaseResult>> {
    let mut results = Vec::new();
    for (name, case) in cases {
        let mut result =
            CaseResult { name, rounds: contestants.iter().map(|one| (one.label(), Vec::new())).collect() };
        for round in 1..=rounds {
            for (one, (label, outcomes)) in contestants.iter().zip(&mut result.rounds) {
                console.go_on()?;
                console.progress.head = format!("{}, round {round} of {rounds}, {label}", result.name);
                console.progress.show("starting");
                let outcome = run(&case, one, console)
                    .with_context(|| format!("{}, round {round}, peer {label}", result.name))?;
                outcomes.push(outcome);
            }
        }
        results.push(result);
    }
    console.progress.clear();
    Ok(results)
}
