//! The open-loop publisher: each message has its time, whatever the broker does.
//!
//! Delays count from the intended time, so a stall is charged to every message that it held up (no coordinated
//! omission). What is due at once goes out in one write. Confirms are read by a thread of their own, as this
//! one sleeps until the next message is due.

use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::clock::{self, Nanos};
use super::consumer::Schedule;
use super::counters::Counters;
use super::histogram::Histogram;
use super::publisher::{Outlet, Published};

/// How often the confirm thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Sends `total` messages, each at its time; with confirms also waits for the last of them.
pub(super) fn pace(
    mut outlet: Outlet,
    total: u64,
    schedule: &Schedule,
    counters: &Counters,
    drain: Duration,
) -> Result<(Published, Histogram)> {
    // a sleep ends up to 50 µs late otherwise (prctl(2), PR_SET_TIMERSLACK); refused only on odd kernels
    _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    outlet.stream.set_nonblocking(false)?;
    outlet.stream.set_write_timeout(Some(drain))?;
    let confirms = match outlet.confirms.take() {
        None => None,
        Some(mut confirms) => {
            confirms.sent(total);
            let mut side = Outlet::confirms_only(&outlet, confirms)?;
            let schedule = schedule.clone();
            let deadline = Nanos(schedule.intended(total).0 + drain.as_nanos() as u64);
            Some(std::thread::spawn(move || -> Result<(Outlet, Histogram)> {
                let delays = confirm_delays(&mut side, &schedule, deadline)?;
                Ok((side, delays))
            }))
        }
    };
    while outlet.sent < total && !counters.stopped() {
        let now = Nanos::now();
        let due = (now.since(schedule.start) as f64 * schedule.rate / 1e9) as u64 + 1;
        if now < schedule.start || due <= outlet.sent {
            schedule.intended(outlet.sent).wait();
            continue;
        }
        outlet.fill((due - outlet.sent).min(total - outlet.sent));
        counters.sent.store(outlet.sent, SeqCst);
        while !outlet.unwritten().is_empty() {
            let bytes =
                (&outlet.stream).write(outlet.unwritten()).context("the publisher's connection broke")?;
            outlet.written(bytes);
        }
    }
    let mut delays = Histogram::new();
    if let Some(confirms) = confirms {
        let (side, measured) =
            confirms.join().map_err(|_| anyhow::anyhow!("the confirm thread panicked"))??;
        outlet.confirms = side.confirms;
        delays = measured;
    }
    Ok((Published { outlets: vec![outlet], cpu: clock::thread_cpu() }, delays))
}

fn confirm_delays(side: &mut Outlet, schedule: &Schedule, deadline: Nanos) -> Result<Histogram> {
    let mut delays = Histogram::new();
    let mut block = [0; 16 * 1024];
    side.stream.set_read_timeout(Some(LOOK))?;
    let started = Instant::now();
    while side.confirms.as_ref().is_some_and(|confirms| confirms.outstanding() > 0) && Nanos::now() < deadline
    {
        match side.stream.read(&mut block) {
            Ok(0) => bail!("the broker closed the publisher's connection after {:?}", started.elapsed()),
            Ok(bytes) => {
                let now = Nanos::now();
                side.inbox.extend_from_slice(&block[..bytes]);
                side.take_in(|number| schedule.record(&mut delays, number - 1, now))?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).context("the publisher's connection broke"),
        }
    }
    Ok(delays)
}
