use std::cell::Cell;
use std::collections::VecDeque;

use mio::{Poll, Token};

use super::driver::Answer;
use super::*;
use crate::mailbox::{Mailbox, mailbox};

/// A registry that answers as it is told, then for ever the last.
struct Scripted {
    answers: VecDeque<Option<Result<Vec<String>, String>>>,
    registrations: Rc<Cell<usize>>,
    refused: usize,
    withdrawn: Rc<Cell<bool>>,
}

impl Scripted {
    fn new(answers: Vec<Option<Result<Vec<String>, String>>>) -> Self {
        let (registrations, withdrawn) = Default::default();
        Self { answers: answers.into(), registrations, refused: 0, withdrawn }
    }
}

impl Registry for Scripted {
    fn what(&self) -> String {
        "script".to_owned()
    }

    fn seeds(&mut self) -> Answer<'_, Vec<String>> {
        let next =
            if self.answers.len() > 1 { self.answers.pop_front() } else { self.answers.front().cloned() };
        match next.expect("an answer") {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn register(&mut self, _: bool) -> Answer<'_, bool> {
        self.registrations.set(self.registrations.get() + 1);
        let refused = self.registrations.get() <= self.refused;
        Box::pin(std::future::ready(if refused { Err("refused".to_owned()) } else { Ok(true) }))
    }

    fn withdraw(&mut self) -> Answer<'_, ()> {
        self.withdrawn.set(true);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Runs drivers for so long of virtual time; what the control thread was told.
fn told(
    drivers: Vec<Scripted>,
    given: &[&str],
    time: std::time::Duration,
) -> (Vec<(bool, String)>, Arc<Statuses>) {
    let poll = Poll::new().unwrap();
    let (mailbox, control): (Mailbox<ToControl>, _) = mailbox(poll.registry(), Token(0)).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let statuses = Arc::new(Statuses::default());
    let mut mail = Vec::new();
    let drivers: Drivers = drivers
        .into_iter()
        .map(|driver| {
            let (sender, inbox) = unbounded_channel();
            mail.push(sender);
            (Box::new(driver) as Box<dyn Registry>, inbox)
        })
        .collect();
    let given = given.iter().map(|&seed| seed.to_owned()).collect();
    let work = keep_all(drivers, given, control, Arc::clone(&statuses));
    runtime.block_on(async { timeout(time, work).await }).expect_err("it goes on for ever");
    let mut told = Vec::new();
    while let Some(mail) = mailbox.take() {
        match mail {
            ToControl::Seeds(seeds) => told.push((true, seeds.join(" "))),
            ToControl::FirstSeeds(seeds) => told.push((false, seeds.join(" "))),
            other => panic!("{other:?}"),
        }
    }
    (told, statuses)
}

#[expect(clippy::unnecessary_wraps, reason = "as the script has it")]
fn found(seeds: &[&str]) -> Option<Result<Vec<String>, String>> {
    Some(Ok(seeds.iter().map(|&seed| seed.to_owned()).collect()))
}

#[test]
fn a_registry_that_fails_or_hangs_is_asked_again_and_what_was_given_is_tried_meanwhile() {
    let failed = Some(Err("no /etc/resolv.conf".to_owned()));
    let script = Scripted::new(vec![failed.clone(), None, found(&["b:9"]), failed]);
    let time = limits::LOOK_UP_EVERY * 3 + limits::LOOK_UP_WAIT + limits::LOOK_UP_EVERY / 2;
    let (told, statuses) = told(vec![script], &["a:7"], time);
    // what it said last is still tried
    let all = ["a:7", "a:7", "a:7 b:9", "a:7 b:9"].map(|seeds| (true, seeds.to_owned()));
    assert_eq!(told, all);
    let status = &statuses.all()[0];
    assert_eq!((status.seeds, &*status.problems), (Some(1), &["no /etc/resolv.conf".to_owned()][..]));
}

#[test]
fn seeds_are_whole_once_every_registry_was_asked() {
    let (one, other) =
        (Scripted::new(vec![found(&["b:1"])]), Scripted::new(vec![None, found(&["a:1", "b:1"])]));
    let (told, _) = told(vec![one, other], &[], limits::LOOK_UP_WAIT + limits::LOOK_UP_EVERY * 2);
    assert_eq!(told[0], (false, "b:1".to_owned()));
    assert!(
        told.contains(&(true, "b:1".to_owned())),
        "the second took too long, which is an answer: {told:?}"
    );
    assert_eq!(told.last(), Some(&(true, "a:1 b:1".to_owned())));
}

#[test]
fn a_node_registers_until_it_is_taken_and_looks_again_for_what_it_registered() {
    let mut script = Scripted::new(vec![found(&[])]);
    script.refused = 5;
    let count = Rc::clone(&script.registrations);
    let again = (limits::REGISTER_AGAIN + limits::REGISTER_JITTER) * 6;
    let (_, statuses) = told(vec![script], &[], again + limits::LOOK_UP_EVERY);
    assert!((6..=8).contains(&count.get()), "{}", count.get());
    assert_eq!(statuses.all()[0].registered, Some(true));
    let script = Scripted::new(vec![found(&[])]);
    let count = Rc::clone(&script.registrations);
    told(vec![script], &[], limits::REGISTER_EVERY * 4 + limits::REGISTER_JITTER * 4);
    assert!((4..=5).contains(&count.get()), "{}", count.get());
}
