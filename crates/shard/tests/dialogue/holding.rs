//! What a channel may hold, in number (basic.qos with global) and time (consumer_timeout), wherever its queues
//! live.

use std::time::Duration;

use leveret_model::{Arguments, RoutingKey, Value};
use leveret_wire::method::*;
use leveret_wire::{Table, encode_arguments};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const PLACES: [(u128, u8); 3] = [(1, 0), (1, 1), (2, 0)];

/// A queue at home on node 1, shard 0; its declarer, and a client on each kind of place.
fn each_place(timeout_ms: i64, test: impl Fn(&mut Rig, ClientId, ClientId)) {
    for (node, shard) in PLACES {
        let mut rig = Rig::new(&[2, 1]);
        let (home, client) = (rig.connect_with(at(1, 0), 0), rig.connect_with(at(node, shard), 0));
        let mut table = Vec::new();
        let timeout = (RoutingKey::new(b"x-consumer-timeout"), Value::I64(timeout_ms));
        encode_arguments(&Arguments(vec![timeout]), &mut table);
        rig.client(home)
            .says(1, QueueDeclare { queue: b"q", arguments: Table(&table), ..Default::default() });
        rig.hears(home, &Heard::Declared { messages: 0, consumers: 0 });
        for body in ["1", "2", "3", "4"] {
            rig.publish(home, "q", body);
        }
        rig.run();
        test(&mut rig, home, client);
    }
}

fn channel_prefetch(rig: &mut Rig, id: ClientId, prefetch_count: u16) {
    rig.client(id).says(1, BasicQos { prefetch_size: 0, prefetch_count, global: true });
}

#[test]
fn consumers_of_a_channel_share_its_limit() {
    each_place(0, |rig, home, client| {
        channel_prefetch(rig, client, 2);
        rig.hears(client, &Heard::Method("basic.qos-ok"));
        rig.consume(client, "q", "a", false);
        let delivered = |tag: u64| (tag, false, tag.to_string());
        assert_eq!(rig.deliveries(client), [delivered(1), delivered(2)]);
        rig.hears_nothing(client);
        rig.ack(client, 1);
        assert_eq!(rig.deliveries(client), [delivered(3)]);
        rig.hears_nothing(client);
        channel_prefetch(rig, client, 0);
        assert_eq!(rig.heard(client).len(), 2, "qos-ok, and the last one");
        // nothing is left behind in the channel: all that it held goes back
        rig.client(client).says(1, ChannelClose::default());
        rig.run();
        assert_eq!(rig.counts(home, "q").0, 3);
    });
}

#[test]
fn a_delivery_that_is_held_for_longer_than_its_queue_allows_goes_back() {
    each_place(120_000, |rig, home, client| {
        rig.qos(client, 1);
        rig.consume(client, "q", "a", false);
        assert_eq!(rig.deliveries(client).len(), 1);
        for _ in 0..2 {
            rig.pass(Duration::from_secs(60));
            rig.hears_nothing(client);
        }
        // the next look, a minute later or a little more: timers are not to the millisecond
        rig.pass(Duration::from_secs(120));
        let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 120000 ms. \
                    This timeout value can be configured, see consumers doc guide to learn more";
        rig.hears(client, &Heard::ChannelClose(406, text.into()));
        assert_eq!(rig.counts(home, "q"), (4, 0));
    });
}
