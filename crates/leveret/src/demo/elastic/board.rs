//! What is seen of the demonstration: a table that lives below the story on a terminal, lines elsewhere.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::demo::ledger::Tally;
use crate::demo::nodes::{Node, Nodes};
use crate::demo::report::Narrator;
use crate::output;

/// Time between two pictures: each costs the nodes a status.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// A node at one look.
#[derive(Clone, Debug, Default)]
struct NodeLook {
    number: usize,
    state: String,
    /// Names of the queues that live there.
    queues: Vec<String>,
    connections: u64,
    busy_percent: f64,
}

/// All nodes at one look.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    nodes: Vec<NodeLook>,
    /// Queues that have changed their home since the beginning, as far as looks have seen it.
    moves: usize,
}

impl Look {
    /// How many each node has.
    pub(super) fn queues(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().map(|node| node.queues.len())
    }

    /// In a sentence.
    pub(super) fn line(&self) -> String {
        let each = self.nodes.iter().map(|node| {
            format!("node {} has {} queues and {} clients", node.number, node.queues.len(), node.connections)
        });
        let each: Vec<String> = each.collect();
        format!("{}; {} moves were seen.", each.join(", "), self.moves)
    }

    fn home_of(&self, queue: &str) -> Option<usize> {
        let has = |node: &&NodeLook| node.queues.iter().any(|name| name == queue);
        self.nodes.iter().find(has).map(|node| node.number)
    }
}

/// The board.
pub(super) struct Board {
    narrator: Narrator,
    live: bool,
    /// Lines that stand below the story.
    below: Cell<usize>,
    drawn_at: Cell<Option<Instant>>,
    /// Where each queue was seen last, and how often that changed.
    homes: RefCell<(BTreeMap<String, usize>, usize)>,
}

impl Board {
    pub(super) fn new(narrator: Narrator) -> Self {
        Self {
            narrator,
            live: std::io::stdout().is_terminal(),
            below: Cell::new(0),
            drawn_at: Cell::new(None),
            homes: RefCell::default(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// A line of the story; the table moves down.
    pub(super) fn say(&self, sentence: &str) -> Result<()> {
        self.clear();
        self.narrator.say(sentence)
    }

    /// Takes the table away.
    pub(super) fn clear(&self) {
        let lines = self.below.take();
        if lines > 0 {
            // up so many lines, and nothing from there on
            let _ = output::print(&format!("\x1b[{lines}A\x1b[J"));
        }
        self.drawn_at.set(None);
    }

    /// Asks each node how it is. One that is about to end may not answer.
    pub(super) fn look(&self, nodes: &Nodes, running: &[Node], leaving: &[Node]) -> Result<Look> {
        let mut look = Look::default();
        for node in running {
            look.nodes.push(node_look(node.number, &nodes.ask(node, "status")?));
        }
        let ending = leaving.iter().filter_map(|node| {
            let status = nodes.ask(node, "status").ok()?;
            Some(node_look(node.number, &status))
        });
        look.nodes.extend(ending);
        let mut homes = self.homes.borrow_mut();
        let (known, moves) = &mut *homes;
        for node in &look.nodes {
            for queue in &node.queues {
                let before = known.insert(queue.clone(), node.number);
                *moves += usize::from(before.is_some_and(|before| before != node.number));
            }
        }
        look.moves = *moves;
        Ok(look)
    }

    /// Draws the table, on a terminal, and not too often.
    pub(super) fn draw(&self, look: &Look, busy: &[Tally]) {
        if !self.live || self.drawn_at.get().is_some_and(|at| at.elapsed() < DRAW_EVERY) {
            return;
        }
        self.clear();
        let text = table(look, busy);
        self.below.set(text.lines().count());
        let _ = output::print(&text);
        self.drawn_at.set(Some(Instant::now()));
    }
}

fn node_look(number: usize, status: &Value) -> NodeLook {
    let own = &status["node"]["id"];
    let queues = status["queues"].as_array().map_or(&[][..], Vec::as_slice);
    let here = queues.iter().filter(|queue| queue["home"] == *own);
    NodeLook {
        number,
        state: status["node"]["state"].as_str().unwrap_or("?").to_owned(),
        queues: here.filter_map(|queue| queue["name"].as_str().map(ToOwned::to_owned)).collect(),
        connections: status["load"]["connections"].as_u64().unwrap_or(0),
        busy_percent: status["load"]["busy_percent"].as_f64().unwrap_or(0.0),
    }
}

fn table(look: &Look, busy: &[Tally]) -> String {
    let mut text = format!("\n  {:<8}{:<10}{:>8}{:>9}{:>8}\n", "node", "state", "queues", "clients", "busy");
    for node in &look.nodes {
        let (queues, busy) = (node.queues.len(), format!("{:.0} %", node.busy_percent));
        text += &format!(
            "  {:<8}{:<10}{queues:>8}{:>9}{busy:>8}\n",
            format!("node-{}", node.number),
            node.state,
            node.connections
        );
    }
    text += &format!("\n  {:<10}{:<8}{:>10}{:>11}\n", "queue", "home", "confirmed", "delivered");
    for Tally { name, confirmed, delivered, .. } in busy {
        let home = look.home_of(name).map_or_else(|| "moves".to_owned(), |number| format!("node-{number}"));
        text += &format!("  {name:<10}{home:<8}{confirmed:>10}{delivered:>11}\n");
    }
    text + &format!("  moves of queues that were seen: {}\n", look.moves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_a_line_for_each_node_and_each_busy_queue() {
        let status = json!({
            "node": { "id": "a", "state": "leaving" },
            "queues": [{ "name": "meadow-1", "home": "a" }, { "name": "burrow-1", "home": "b" }],
            "load": { "connections": 3, "busy_percent": 12.4 },
        });
        let look = Look { nodes: vec![node_look(4, &status)], moves: 7 };
        let tally = |name| Tally { name, confirmed: 10, delivered: 9, ..Tally::default() };
        let text = table(&look, &[tally("meadow-1"), tally("meadow-2")]);
        let words = |with: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.contains(with)).expect("a line");
            line.split_whitespace().map(ToOwned::to_owned).collect()
        };
        assert_eq!(words("leaving"), ["node-4", "leaving", "1", "3", "12", "%"]);
        assert_eq!(words("meadow-1"), ["meadow-1", "node-4", "10", "9"]);
        assert_eq!(words("meadow-2")[1], "moves", "no node that was asked has it now");
        assert!(look.line().starts_with("node 4 has 1 queues and 3 clients"), "{}", look.line());
    }
}
