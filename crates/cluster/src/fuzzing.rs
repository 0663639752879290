//! What the fuzz target `control_frame` does with any bytes: reads them as a peer's control frame.

use leveret_model::NodeId;

use crate::frame::{Decoded, Frame};

/// A frame that can be read is written and read again as the same. Panics on a broken promise, and only then.
pub fn control_frame(bytes: &[u8]) {
    let Ok(Decoded::Known(frame)) = Frame::decode(bytes) else { return };
    let written = frame.clone().encode(NodeId(1));
    let Ok(Decoded::Known(again)) = Frame::decode(&written) else { panic!("what was written can be read") };
    // An ack bears no node but the one that it is sent to; all else comes back as it was. Floats in arguments
    // may be no numbers, which equal nothing: their bytes are compared.
    assert_eq!(again.encode(NodeId(1)), written);
}
