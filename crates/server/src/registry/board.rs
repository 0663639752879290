//! What the registries said last, in one place: seeds for the control thread, lines for people.

use std::cell::RefCell;
use std::sync::Arc;

use leveret_model::limits;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::control_thread::ToControl;
use crate::mailbox::MailTo;
use crate::registries::{RegistryStatus, Statuses};

/// One registry.
#[derive(Debug)]
struct Entry {
    what: String,
    asked: bool,
    /// By the last answer: a running cluster needs no registry, and they are still tried.
    found: Option<Vec<String>>,
    look_up: Trouble,
    registered: Option<bool>,
    registration: Trouble,
}

/// What goes wrong, said when it begins and each minute while it lasts.
#[derive(Debug, Default)]
struct Trouble {
    now: Option<String>,
    said_at: Option<Instant>,
}

impl Trouble {
    /// True if it is to be said.
    fn begins(&mut self, error: String) -> bool {
        self.now = Some(error);
        let due = self.said_at.is_none_or(|at| at.elapsed() >= limits::REGISTRY_LINE_EVERY);
        if due {
            self.said_at = Some(Instant::now());
        }
        due
    }

    /// True if it was there. One that comes and goes is still said once a minute only.
    fn ends(&mut self) -> bool {
        self.now.take().is_some()
    }
}

/// The table.
pub(super) struct Board {
    given: Vec<String>,
    entries: RefCell<Vec<Entry>>,
    control: MailTo<ToControl>,
    statuses: Arc<Statuses>,
}

impl Board {
    /// `given`: the static registry, which needs no asking.
    pub(super) fn new(
        names: Vec<String>,
        given: Vec<String>,
        control: MailTo<ToControl>,
        statuses: Arc<Statuses>,
    ) -> Self {
        let entry = |what| Entry {
            what,
            asked: false,
            found: None,
            look_up: Trouble::default(),
            registered: None,
            registration: Trouble::default(),
        };
        let entries = RefCell::new(names.into_iter().map(entry).collect());
        let board = Self { given, entries, control, statuses };
        board.show();
        board
    }

    pub(super) fn on_found(&self, index: usize, found: Result<Vec<String>, String>) {
        let mut entries = self.entries.borrow_mut();
        let entry = &mut entries[index];
        entry.asked = true;
        match found {
            Ok(mut seeds) => {
                seeds.sort();
                seeds.dedup();
                let again = entry.look_up.ends();
                if again || entry.found.as_ref() != Some(&seeds) {
                    let named = seeds.iter().take(limits::NAMES_SAID).cloned().collect::<Vec<_>>().join(", ");
                    info!(
                        registry = entry.what,
                        seeds = named,
                        count = seeds.len(),
                        "a registry names these seeds"
                    );
                }
                entry.found = Some(seeds);
            }
            Err(error) => {
                if entry.look_up.begins(error.clone()) {
                    warn!(registry = entry.what, %error, "a registry gives no seeds; it is asked again each second");
                }
            }
        }
        let whole = entries.iter().all(|entry| entry.asked);
        let mut all = self.given.clone();
        all.extend(entries.iter().flat_map(|entry| entry.found.iter().flatten()).cloned());
        all.sort();
        all.dedup();
        shorten(&mut all);
        self.control.send(if whole { ToControl::Seeds(all) } else { ToControl::FirstSeeds(all) });
        drop(entries);
        self.show();
    }

    pub(super) fn on_registered(&self, index: usize, registered: Result<bool, String>) {
        let mut entries = self.entries.borrow_mut();
        let entry = &mut entries[index];
        match registered {
            Ok(false) => {}
            Ok(true) => {
                entry.registration.ends();
                entry.registered = Some(true);
            }
            Err(error) => {
                entry.registered = Some(false);
                if entry.registration.begins(error.clone()) {
                    warn!(registry = entry.what, %error, "this node is not registered; tried again each second");
                }
            }
        }
        drop(entries);
        self.show();
    }

    fn show(&self) {
        let entries = self.entries.borrow();
        let status = |entry: &Entry| {
            let troubles = [&entry.look_up, &entry.registration];
            let mut problems: Vec<String> = troubles.iter().filter_map(|of| of.now.clone()).collect();
            problems.dedup();
            RegistryStatus {
                what: entry.what.clone(),
                seeds: entry.found.as_ref().map(Vec::len),
                registered: entry.registered,
                problems,
            }
        };
        let all = entries.iter().map(status).collect();
        self.statuses.set(all);
    }
}

/// Of too many seeds a random choice, another one each time.
fn shorten(seeds: &mut Vec<String>) {
    while seeds.len() > limits::SEEDS_MAX {
        let mut bytes = [0; 8];
        // without random bytes the last goes
        let _ = getrandom::fill(&mut bytes);
        let at = u64::from_le_bytes(bytes) % seeds.len() as u64;
        seeds.swap_remove(at as usize);
    }
}
