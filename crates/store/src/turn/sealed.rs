//! A turn that is complete: its frames, and its bytes for the log.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::frame::{FrameHead, HEAD_BYTES};

/// A turn that is complete.
#[derive(Debug)]
pub struct SealedTurn {
    pub(super) own: Bytes,
    pub(super) beside: Vec<(usize, Bytes)>,
    pub(super) bytes: usize,
    pub(super) frames: u32,
    pub(super) urgent: bool,
}

impl SealedTurn {
    /// Bytes that it takes in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    pub(crate) fn urgent(&self) -> bool {
        self.urgent
    }

    /// Calls `each` with every frame: where it begins, counted from the front of the turn, and its own bytes,
    /// which hold head and meta at least. hot.
    pub(crate) fn each_frame(&self, mut each: impl FnMut(usize, &[u8])) {
        let mut beside = self.beside.iter().peekable();
        let (mut own_at, mut at) = (0, 0);
        while own_at < self.own.len() {
            let frame = &self.own[own_at..];
            let Ok((head, meta)) = FrameHead::read(frame) else {
                unreachable!("a turn is made of frames");
            };
            each(at, frame);
            // a slice is of this frame if it lies no further than where the frame's own bytes end without it
            let own_end = own_at + HEAD_BYTES + meta.len() + head.body_bytes();
            let mut beside_bytes = 0;
            while let Some((_, slice)) =
                beside.next_if(|(place, slice)| place + beside_bytes + slice.len() <= own_end)
            {
                beside_bytes += slice.len();
            }
            let whole = head.frame_bytes();
            at += whole;
            own_at += whole - beside_bytes;
        }
    }

    /// The bytes, in order.
    pub(crate) fn parts(self, out: &mut Vec<Bytes>) {
        let mut from = 0;
        for (place, slice) in self.beside {
            if place > from {
                out.push(self.own.slice(from..place));
                from = place;
            }
            out.push(slice);
        }
        if from < self.own.len() {
            out.push(self.own.slice(from..));
        }
    }
}
