//! What stands in a body, so that the receiver can tell exactly what became of it.
//!
//! ```text
//!   0          4                    12           16                       length-8
//!   ├ producer ┼ sequence           ┼ checksum   ┼ filler of the producer … ┼ sequence again ┤
//! ```
//! The checksum covers producer, sequence and length. From 24 bytes on the sequence stands at the end as
//! well, so a body put together from two is noticed. Filler is compared byte for byte up to 4 KiB; of a
//! longer body the ends and one window that moves with the sequence, so that the check does not cost more
//! than the broker that it measures.

/// The smallest body.
pub(super) const BODY_BYTES_MIN: usize = 16;
/// Bodies up to here are compared whole, longer ones in windows of this size.
const WINDOW: usize = 4096;
/// From here on a body ends with its sequence.
const TAIL_FROM: usize = 24;

/// Writes and proves the bodies of one producer.
pub(super) struct Payload {
    producer: u32,
    filler: Vec<u8>,
}

impl Payload {
    /// The bodies of `producer`, each `length` bytes (at least [`BODY_BYTES_MIN`]).
    pub(super) fn new(producer: u32, length: usize) -> Self {
        assert!(length >= BODY_BYTES_MIN, "args.rs refuses smaller bodies");
        let mut filler = Vec::with_capacity(length + 8);
        let mut word = u64::from(producer);
        while filler.len() < length {
            word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
            filler.extend_from_slice(&mixed(word).to_le_bytes());
        }
        filler.truncate(length);
        Self { producer, filler }
    }

    /// The bytes of every body before it is stamped.
    pub(super) fn filler(&self) -> &[u8] {
        &self.filler
    }

    /// Where in a body its second stamp stands, if it has one.
    pub(super) fn tail_at(&self) -> Option<usize> {
        (self.filler.len() >= TAIL_FROM).then(|| self.filler.len() - 8)
    }

    /// Makes a message whose body (a copy of the filler, perhaps stamped before) lies in `bytes`, from `head`
    /// on and with its second stamp at `tail`, the one with this sequence. hot.
    pub(super) fn stamp(&self, bytes: &mut [u8], head: usize, tail: Option<usize>, sequence: u64) {
        let stamp = &mut bytes[head..head + 16];
        stamp[..4].copy_from_slice(&self.producer.to_be_bytes());
        stamp[4..12].copy_from_slice(&sequence.to_be_bytes());
        stamp[12..].copy_from_slice(&checksum(self.producer, sequence, self.filler.len()).to_be_bytes());
        if let Some(tail) = tail {
            bytes[tail..tail + 8].copy_from_slice(&sequence.to_be_bytes());
        }
    }

    /// The sequence of a body, or `None` if any byte that is looked at is not as this producer sent it. hot.
    pub(super) fn prove(&self, body: &[u8]) -> Option<u64> {
        if body.len() != self.filler.len() {
            return None;
        }
        let producer = u32::from_be_bytes(body[..4].try_into().ok()?);
        let sequence = u64::from_be_bytes(body[4..12].try_into().ok()?);
        let sum = u32::from_be_bytes(body[12..16].try_into().ok()?);
        if producer != self.producer || sum != checksum(producer, sequence, body.len()) {
            return None;
        }
        if body.len() >= TAIL_FROM {
            let end = body.len() - 8;
            if body[end..] != sequence.to_be_bytes() || !self.same_filler(body, end, sequence) {
                return None;
            }
        } else if body[16..] != self.filler[16..] {
            return None;
        }
        Some(sequence)
    }

    fn same_filler(&self, body: &[u8], end: usize, sequence: u64) -> bool {
        let same = |from: usize, to: usize| body[from..to] == self.filler[from..to];
        if body.len() <= WINDOW {
            return same(16, end);
        }
        let windows = (end - 16).div_ceil(WINDOW);
        let from = 16 + (sequence % windows as u64) as usize * WINDOW;
        same(16, WINDOW / 2) && same(end - WINDOW / 2, end) && same(from, end.min(from + WINDOW))
    }
}

fn checksum(producer: u32, sequence: u64, length: usize) -> u32 {
    let mix = mixed(sequence ^ (u64::from(producer) << 32) ^ (length as u64).rotate_left(17));
    (mix ^ (mix >> 32)) as u32
}

/// The finaliser of SplitMix64.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_body_proves_itself_at_every_length() {
        for length in [16, 17, 23, 24, 25, 1024, 4096, 4097, 65_536] {
            let payload = Payload::new(7, length);
            let mut body = payload.filler().to_vec();
            for sequence in [0, 1, 77, u64::MAX] {
                payload.stamp(&mut body, 0, payload.tail_at(), sequence);
                assert_eq!(payload.prove(&body), Some(sequence), "{length}");
            }
        }
    }

    #[test]
    fn any_flipped_bit_of_a_short_body_is_noticed() {
        let payload = Payload::new(1, 64);
        let mut body = payload.filler().to_vec();
        payload.stamp(&mut body, 0, payload.tail_at(), 12_345);
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(payload.prove(&body), None, "bit {bit}");
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn each_byte_of_a_long_body_is_looked_at_by_some_sequence() {
        let payload = Payload::new(1, 20_000);
        for damaged in [16, 5000, 9000, 13_000, 19_991] {
            let mut body = payload.filler().to_vec();
            let noticed = (0..8).any(|sequence| {
                payload.stamp(&mut body, 0, payload.tail_at(), sequence);
                body[damaged] ^= 0x10;
                let fault = payload.prove(&body).is_none();
                body[damaged] ^= 0x10;
                fault
            });
            assert!(noticed, "byte {damaged}");
        }
    }

    #[test]
    fn a_body_of_two_halves_another_length_or_another_producer_is_refused() {
        let payload = Payload::new(1, 64);
        let mut first = payload.filler().to_vec();
        let mut second = first.clone();
        payload.stamp(&mut first, 0, payload.tail_at(), 1);
        payload.stamp(&mut second, 0, payload.tail_at(), 2);
        assert_eq!(payload.prove(&[&first[..32], &second[32..]].concat()), None);
        assert_eq!(payload.prove(&first[..63]), None);
        assert_eq!(Payload::new(2, 64).prove(&first), None);
    }
}
