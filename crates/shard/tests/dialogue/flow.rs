//! channel.flow: a client stops the deliveries of a channel, here and from elsewhere.

use leveret_amqp::Config;
use leveret_shard::Bounds;
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const WINDOW: usize = 4;

fn bodies(rig: &mut Rig, id: ClientId) -> Vec<String> {
    let body = |heard| match heard {
        Heard::Deliver { body, .. } => Some(String::from_utf8(body).expect("UTF-8")),
        _ => None,
    };
    rig.heard(id).into_iter().filter_map(body).collect()
}

fn flow(rig: &mut Rig, id: ClientId, active: bool) {
    rig.client(id).says(1, ChannelFlow { active });
    rig.run();
}

/// Whether the queue's home is this shard, another one of the node, or another node; with acks and without.
#[test]
fn a_stopped_channel_gets_nothing_until_it_goes_on_and_then_all_in_order() {
    for place in [at(1, 0), at(1, 1), at(2, 0)] {
        for no_ack in [false, true] {
            let mut rig = Rig::with(&[2, 1], Config::new("0.1.0", "rig"));
            for shard in rig.shards.values_mut() {
                shard.set_bounds(Bounds { consumer_messages: WINDOW as u32, ..Bounds::default() });
            }
            let home = rig.connect(at(1, 0));
            rig.declare(home, "q");
            let stopped = rig.connect(place);
            rig.consume(stopped, "q", "c", no_ack);
            rig.publish(home, "q", "before");
            assert_eq!(bodies(&mut rig, stopped), ["before"]);
            flow(&mut rig, stopped, false);
            for number in 0..50 {
                rig.publish(home, "q", &format!("{number}"));
            }
            assert_eq!(bodies(&mut rig, stopped), [""; 0], "{place:?} {no_ack}");
            flow(&mut rig, stopped, true);
            let got = bodies(&mut rig, stopped);
            let all: Vec<String> = (0..50).map(|number| number.to_string()).collect();
            assert_eq!(got, all, "{place:?} {no_ack}");
        }
    }
}
