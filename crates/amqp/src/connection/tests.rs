//! How much memory a connection takes.

use super::*;
use crate::channel::Channel;
use crate::config::Client;

/// 560 bytes when this was written; the bar is 3 KiB. Its buffers are all empty, so this is nearly all of it.
#[test]
fn an_idle_connection_with_a_channel_is_small() {
    let (connection, channel) = (size_of::<Connection<u64>>(), size_of::<Channel<u64>>());
    assert!(connection + channel + size_of::<Client>() <= 1_024, "{connection} + {channel}");
}
