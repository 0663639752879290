//! The order in which a publish is refused (RabbitMQ 3.10.8): the exchange is judged before the properties.

use leveret_wire::BasicProperties;
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{Rig, at};

#[test]
fn a_publish_is_refused_for_its_exchange_before_its_properties() {
    let mut rig = Rig::new(&[2, 1]);
    let a = rig.connect(at(1, 0));
    let internal =
        ExchangeDeclare { exchange: b"inner", kind: b"fanout", internal: true, ..Default::default() };
    rig.client(a).says(1, internal);
    rig.run();
    let wrong_user = "user_id property set to 'bob' but authenticated user was 'guest'";
    for (exchange, code, text) in [
        ("nowhere", 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'"),
        ("inner", 403, "ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'"),
        ("amq.direct", 406, &format!("PRECONDITION_FAILED - {wrong_user}")),
        ("", 406, &format!("PRECONDITION_FAILED - {wrong_user}")),
    ] {
        for place in [at(1, 0), at(1, 1), at(2, 0)] {
            let client = rig.connect(place);
            let properties = BasicProperties { user_id: Some(b"bob"), ..Default::default() };
            rig.client(client).publishes_with(1, (exchange, "k"), false, &properties, b"m");
            rig.hears(client, &Heard::ChannelClose(code, text.into()));
        }
    }
}
