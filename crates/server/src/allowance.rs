//! How often a complaint about strangers may be logged: who knocks a thousand times a second must not fill the
//! disk.

use leveret_model::{Instant, limits};

/// Lines of one kind that may still be written.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u32,
    /// When the next line is earned.
    next: Instant,
    unsaid: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: limits::COMPLAINTS_AT_ONCE, next: Instant::ZERO, unsaid: 0 }
    }
}

impl Allowance {
    /// Asks for a line. Gives how many were not written since the last one; nothing if this one is not to be
    /// either.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        if now >= self.next {
            let earned = 1 + now.since(self.next).as_nanos() / limits::COMPLAINT_EVERY.as_nanos();
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(limits::COMPLAINTS_AT_ONCE);
            self.next = now + limits::COMPLAINT_EVERY;
        }
        if self.left == 0 {
            self.unsaid += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.unsaid))
    }

    /// So many more are not written.
    pub(crate) fn pass_over(&mut self, lines: u64) {
        self.unsaid += lines;
    }
}

/// For the line: how many were not written, if any.
pub(crate) fn unless_none(unsaid: u64) -> Option<u64> {
    (unsaid > 0).then_some(unsaid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_and_then_one_line_each_second() {
        let mut allowance = Allowance::default();
        let mut now = Instant::ZERO;
        let written = (0..100).filter(|_| allowance.take(now).is_some()).count();
        assert_eq!(written, limits::COMPLAINTS_AT_ONCE as usize);
        now = now + limits::COMPLAINT_EVERY;
        assert_eq!(allowance.take(now), Some(100 - u64::from(limits::COMPLAINTS_AT_ONCE)));
        assert_eq!(allowance.take(now), None);
        now = now + limits::COMPLAINT_EVERY * 1000;
        allowance.pass_over(3);
        assert_eq!(allowance.take(now), Some(4));
        let written = (0..100).filter(|_| allowance.take(now).is_some()).count();
        assert_eq!(written, limits::COMPLAINTS_AT_ONCE as usize - 1);
    }
}
